//! Building blocks for the storage providers of `cred`: requests with timeouts and retries, the
//! stored format, names, limits and layers. `docs/writing-a-provider.md` is the guide.
//!
//! | you want to | start at |
//! |---|---|
//! | write a storage provider for a backend | [`Backend`], [`Provider`] |
//! | send requests with deadlines, retries and `InDoubt` errors | [`Wire`], [`Executor`] |
//! | encode and decode a stored credential | [`CredentialFile`] |
//! | map paths to names that a backend allows, and back | [`naming`] |
//! | reject a credential that is too large before it is sent | [`limits`] |
//! | copy tags to the backend's own tags or labels | [`tags`] |
//! | read a configuration from the environment | [`Env`], [`duration`] |
//! | generate setters, check deadlines, and keep secrets out of configuration errors | [`setters!`], [`config`] |
//! | quote a message of the backend in an error, without secrets | [`quote_message`] |
//! | remove a secret from a text, in any of its encodings | [`redact`] |
//! | report a response that is not from the backend, such as a page of a proxy | [`ForeignResponse`] |
//! | wrap any provider: read-only, restricted to a scope, with a timeout | [`layers`] |

mod backend;
mod budget;
pub mod config;
#[cfg(feature = "tls")]
pub mod connection;
pub mod duration;
mod env;
mod envelope;
mod executor;
mod foreign;
pub mod layers;
pub mod limits;
pub mod naming;
mod provider;
mod quote_message;
mod redact;
pub mod tags;

pub use backend::{Backend, Conditional, ListRange, Recoverable};
pub use budget::RetryBudget;
pub use env::{Env, MapEnv, ProcessEnv};
pub use envelope::CredentialFile;
pub use executor::{Attempt, AttemptError, Executor, TargetRef, Wire, WriteEffect};
pub use foreign::ForeignResponse;
pub use provider::Provider;
pub use quote_message::quote_message;
pub use redact::redact;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/writing-a-provider.md")]
struct Readme;
