//! A TCP proxy that breaks connections on demand, and what a remote provider must do then.
//!
//! [`Proxy`] stands between a provider and its server and breaks what is sent, as a [`Fault`] says.
//! [`suite!`] turns the promises of every remote backend into tests: deadlines are kept, only
//! transient failures are tried again, a write whose answer is lost is in doubt or found to be
//! done.

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
