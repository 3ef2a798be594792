//! What every storage provider of `cred` needs once.

mod envelope;
pub mod limits;

pub use envelope::CredentialFile;
