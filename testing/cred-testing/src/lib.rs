//! Test support that more than one crate of the workspace uses: values to store, a scripted HTTP
//! server, captured logs, child processes with environment variables, and a search for secrets in
//! printed text.
//!
//! A helper that fails panics with the reason, so the test that called it fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports failures by panicking")]

pub mod http;
pub mod log;
pub mod printed;
pub mod process;
pub mod value;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
