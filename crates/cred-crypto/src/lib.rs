//! Client-side sealing for [cred](https://docs.rs/cred-manager): keys, and what is done with them.
//!
//! A [`KeyRing`] is the [`Sealer`](cred_core::Sealer) that a credential manager seals with. It
//! holds one active key, which seals, and any number of older ones, which only open. A key is 32
//! random bytes, from a file, an environment variable or the caller, or a [`Passphrase`].
//!
//! ```
//! use cred_core::{CredentialMetadata, CredentialPath, Sealer, Timestamp};
//! use cred_crypto::{KeyRing, SealingKey};
//!
//! # async fn sealing() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let file = directory.path().join("cred.key");
//! // Once, by the operator; then keep a copy where the sealed credentials are not.
//! SealingKey::create_file(&file)?;
//! // At each start of the service.
//! let keys = KeyRing::from_key_file("k-2026".parse()?, &file)?;
//!
//! let path: CredentialPath = "org:acme/stripe-api-key".parse()?;
//! let metadata = CredentialMetadata::new(Timestamp::now());
//! let sealed = keys.seal(path.as_path_ref(), &metadata, b"sk_live_...").await?;
//! let opened = keys.open(path.as_path_ref(), &sealed, &metadata).await?;
//! assert_eq!(*opened.secret, b"sk_live_...");
//!
//! // Sealing binds the path: the same bytes do not open elsewhere.
//! let elsewhere: CredentialPath = "org:evil/stripe-api-key".parse()?;
//! assert!(keys.open(elsewhere.as_path_ref(), &sealed, &metadata).await.is_err());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(sealing()).unwrap();
//! ```
//!
//! To replace a key, make a ring that holds both, with the new one active, let the manager re-seal
//! (`rekey`), and then drop the old one:
//!
//! ```no_run
//! use cred_crypto::{KeyRing, SealingKey};
//!
//! let keys = KeyRing::builder("k-2027".parse()?)
//!     .key("k-2027".parse()?, SealingKey::generate()?)
//!     .key("k-2026".parse()?, SealingKey::from_env("CRED_KEY_2026")?)
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What sealing does
//! Each message has its own key, derived by HKDF-SHA-512 from the ring's key and 32 random bytes,
//! and is encrypted with AES-256-GCM. A commitment, compared in constant time before anything is
//! decrypted, tells a wrong key from an edited message, and no message opens under two keys. Path,
//! key id and salts are authenticated; the metadata is sealed together with the secret and compared
//! with the copy that the backend keeps in clear.
//!
//! # The sealed format, version 1
//! ```text
//! lp(x) = u16 length || x          opt(x) = 00 | 01 || x          integers are big-endian
//!
//! salt[32] || nonce[12]  one draw of the system's random source per message
//! master[32]             the raw key, or Argon2id (version 0x13) of the passphrase's bytes with kdf_salt
//! okm[64]                HKDF-SHA-512(salt = salt, ikm = master, info = "cred/seal/v1")
//! key || commitment      okm[0..32] || okm[32..64]
//! (ciphertext, tag)      AES-256-GCM(key, nonce, aad, content)
//!
//! aad     = "cred/aad/v1" 00 || version (01) || lp(key_id) || opt(kdf_salt[16]) || opt(lp(wrapped_key))
//!           || salt || nonce || opt(lp(scope)) || lp(id)
//! content = "CRP1" || u32 length of the metadata || metadata || secret
//! metadata: fields of u16 number || u32 length || value, numbers ascending, defaults left out
//!   1 created_at u64 ms   2 last_modified u64 ms   3 version u64   4 tags: lp(key) || lp(value), keys ascending
//!   5 expires_at u64 ms   6 rotation policy: 01 || u64 ms (periodic), 02 || u64 ms (before expiry),
//!                           03 || u64 ms (at), 04 (manual)
//!   7 created_by: 1 to 256 bytes of printable ASCII
//!   8 to 0x7fff: of newer writers, kept as they are; 0x8000 and above: reserved
//! ```
//! `kdf_salt` is there exactly where the key is a passphrase, `wrapped_key` (1 to 1,024 bytes)
//! exactly where a KMS wraps the key, which a key ring's never is. The decoder takes no other bytes
//! than the encoder writes.
//!
//! # Passphrases
//! A key comes from a passphrase by Argon2id, which is meant to be slow ([`Argon2Params`]), once
//! for each salt that the ring meets. That runs on a thread of the ring's own, one derivation at a
//! time, never on the async runtime. The salt stands in the envelope, so whoever can write to the
//! backend chooses it: salts that no opened envelope has proven may cost 8 derivations, and one
//! more every 10 seconds; after that, opening under a new salt is the transient
//! [`SealError::KdfBusy`](cred_core::SealError::KdfBusy). Sealing, and salts that are proven, are
//! not held up.
//!
//! # What stays in memory
//! Keys, passphrases, derived keys, opened content and Argon2id's memory are wiped when they are
//! dropped. Not wiped, because the code that this crate calls does not do it, is what single calls
//! leave on the stack and in registers: `ring`'s HMAC states, which have seen the ring's key, and
//! its AES key schedules of single messages; the hash states of Argon2id, which have seen the
//! passphrase. Memory is not locked: it may be swapped out or stand in a core dump. Turn both off
//! where that matters.

mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
