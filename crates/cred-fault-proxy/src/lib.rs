//! A TCP proxy that injects network faults, and tests of how a remote provider handles them.
//!
//! [`Proxy`] sits between a provider and its server and injects [`Fault`]s into requests and
//! answers. [`suite!`] generates tests for the guarantees of every remote provider:
//!
//! - Deadlines are kept.
//! - Only transient failures are retried.
//! - A write whose answer is lost is `InDoubt` or found to be done.

mod checks;
mod pipe;
mod proxy;
mod suite;
mod tls;

#[doc(hidden)]
pub use checks::run as __run;
pub use checks::{Check, Remote};
pub use proxy::{Fault, Proxy};
pub use tls::{TlsEntry, TlsExit};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
