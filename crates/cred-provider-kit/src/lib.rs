//! What every storage provider of `cred` needs once.

mod budget;
#[cfg(feature = "tls")]
pub mod connection;
pub mod duration;
mod env;
mod envelope;
mod executor;
pub mod layers;
pub mod limits;
pub mod naming;
pub mod tags;

pub use budget::RetryBudget;
pub use env::{Env, MapEnv, ProcessEnv};
pub use envelope::CredentialFile;
pub use executor::{Attempt, Executor, TargetRef, Wire};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../docs/writing-a-provider.md")]
struct Readme;
