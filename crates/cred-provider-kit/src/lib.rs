//! What every storage provider of `cred` needs once.

pub mod duration;
mod env;
mod envelope;
pub mod limits;

pub use env::{Env, MapEnv, ProcessEnv};
pub use envelope::CredentialFile;
