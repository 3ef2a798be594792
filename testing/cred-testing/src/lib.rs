//! Test support that more than one crate of the workspace uses: values to store, a scripted HTTP
//! server, captured logs, environments, and a search for secrets in what was printed.
//!
//! A helper that fails panics: the test that called it is red then, and says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panic")]

pub mod http;
pub mod log;
pub mod printed;
pub mod process;
pub mod value;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
