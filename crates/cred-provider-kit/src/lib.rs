//! What every storage provider of `cred` needs once. `docs/writing-a-provider.md` is the way
//! through it.
//!
//! | you want to | start at |
//! |---|---|
//! | make a storage provider of a backend | [`Backend`], [`Provider`] |
//! | make a request with deadlines, retries and doubt | [`Wire`], [`Executor`] |
//! | write a credential as bytes, and read them | [`CredentialFile`] |
//! | name it where names have rules, and list it again | [`naming`] |
//! | refuse what is too large before it is sent | [`limits`] |
//! | show its tags to the backend | [`tags`] |
//! | read a configuration from the environment | [`Env`], [`duration`] |
//! | give it setters, check its deadlines, and read it without secrets in errors | [`setters!`], [`config`] |
//! | quote the backend in an error, without secrets | [`said`] |
//! | take a secret out of a text, however it is spelled there | [`redact`] |
//! | report an answer that is not the backend's, such as a page of a proxy | [`Foreign`] |
//! | wrap any provider: read-only, jailed, with a timeout | [`layers`] |

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
mod redact;
mod said;
pub mod tags;

pub use backend::{Backend, Conditional, Reach, Recoverable};
pub use budget::RetryBudget;
pub use env::{Env, MapEnv, ProcessEnv};
pub use envelope::CredentialFile;
pub use executor::{Attempt, AttemptError, Executor, TargetRef, Wire, Wrote};
pub use foreign::Foreign;
pub use provider::Provider;
pub use redact::redact;
pub use said::said;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/writing-a-provider.md")]
struct Readme;
