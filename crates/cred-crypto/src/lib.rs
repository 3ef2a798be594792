//! Placeholder.
mod error;
mod inner;
mod kdf;
mod key;
mod key_file;
mod key_ring;
mod master;
mod message;
mod passphrase;

pub use error::{KeyOrigin, KeyRingError};
pub use key::SealingKey;
pub use key_ring::{KeyRing, KeyRingBuilder};
pub use passphrase::{Argon2Params, Passphrase};

#[cfg(test)]
mod vectors;
