//! Client-side encryption ("sealing") for [cred](https://docs.rs/cred-manager).
//!
//! A [`KeyRing`] implements [`Sealer`](cred_core::Sealer) for a credential manager. It has one
//! active key, which seals, and any number of older keys, which only open. A key is either 32
//! random bytes from a file, an environment variable or the caller, or a [`Passphrase`].
//!
//! ```
//! use cred_core::{CredentialMetadata, CredentialPath, Sealer, Timestamp};
//! use cred_crypto::{KeyRing, SealingKey};
//!
//! # async fn sealing() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let file = directory.path().join("cred.key");
//! // Once, by the operator. Back up the file separately from the sealed credentials.
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
//! // Sealing authenticates the path: the same bytes cannot be opened at another one.
//! let elsewhere: CredentialPath = "org:evil/stripe-api-key".parse()?;
//! assert!(keys.open(elsewhere.as_path_ref(), &sealed, &metadata).await.is_err());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(sealing()).unwrap();
//! ```
//!
//! To replace a key, create a ring with both keys and the new one active, let the manager re-seal
//! all credentials (`rekey`), and then remove the old key:
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
//! # Sealing
//! Each message has a separate key, derived by HKDF-SHA-512 from the master key and 32 random
//! bytes, and is encrypted with AES-256-GCM. A nonce repeats under one key only if a 32-byte salt
//! repeats too: by the birthday bound, with a probability below 2^-64 for up to 2^96 messages of
//! one master key. A key commitment is compared in constant time before anything is decrypted. If
//! it differs, the key, the salt or the commitment is wrong (`WrongKey`). If it matches and the tag
//! does not, the ciphertext or an authenticated field was changed (`Tampered`). The commitment
//! makes it infeasible to build a message that opens under two keys, by the collision resistance of
//! SHA-512; it does not commit to the other fields. Format version, key id, salts, nonce, scope and
//! id are authenticated as additional data. The metadata is sealed together with the secret, and
//! compared with the unencrypted copy that the backend stores.
//!
//! # The sealed format, version 1
//! ```text
//! lp(x) = u16 length || x          opt(x) = 00 if absent, else 01 || x
//! Integers are big-endian, texts are UTF-8, times are milliseconds since 1970-01-01 UTC.
//!
//! salt[32] || nonce[12]  one read of the system's random source for each message; if it fails, nothing is sealed
//! master[32]             the raw key, or Argon2id (version 0x13) of the passphrase's bytes with kdf_salt
//! okm[64]                HKDF-SHA-512(salt = salt, ikm = master, info = "cred/seal/v1")
//! key || commitment      okm[0..32] || okm[32..64]
//! (ciphertext, tag)      AES-256-GCM(key, nonce, aad, content)
//!
//! aad     = "cred/aad/v1" 00 || version (01) || lp(key_id) || opt(kdf_salt[16]) || opt(lp(wrapped_key))
//!           || salt || nonce || opt(lp(scope)) || lp(id)
//! content = "CRP1" || u32 length of the metadata || metadata || secret
//! metadata: fields of u16 number || u32 length || value, numbers ascending, defaults omitted
//!   1 created_at u64 ms   2 last_modified u64 ms   3 version u64   4 tags: lp(key) || lp(value), keys ascending
//!   5 expires_at u64 ms   6 rotation policy: 01 || u64 ms (periodic), 02 || u64 ms (before expiry),
//!                           03 || u64 ms (at), 04 (manual)
//!   7 created_by: 1 to 256 bytes of printable ASCII
//!   8 to 0x7fff: fields of newer versions, kept unchanged; 0x8000 and above: reserved
//! ```
//! `kdf_salt` is present if and only if the key is a passphrase. `wrapped_key` (1 to 1,024 bytes)
//! is reserved for a `Sealer` that uses a KMS; a key ring never writes it, and refuses it. `scope`
//! and `id` are the texts of the path, such as `org:acme/team:payments` and `stripe-api-key`. Tag
//! keys are sorted by their bytes. The decoder of the content accepts only bytes that the encoder
//! can write, and refuses another version.
//!
//! The backend stores the parts as JSON, as `cred_provider_kit::CredentialFile` documents.
//! [Vectors](https://github.com/cred-rs/cred/tree/main/crates/cred-crypto/tests/vectors), by an
//! independent implementation in Python, cover every field and every rejection. The cryptography
//! was not audited by a third party.
//!
//! # Passphrases
//! A key is derived from a passphrase by Argon2id, once for each salt in the envelopes that it
//! opens and for the salt under which it seals, by default with 64 MiB, 3 passes and 4 lanes
//! ([`Argon2Params`]). The parameters are those of the ring: they are not stored with the value, so
//! keep them with the passphrase. Derivations run one at a time on a separate thread of the ring,
//! never on the async runtime.
//!
//! The salt is part of the envelope, so a principal that can write to the backend can choose it,
//! and cause derivations. The ring therefore limits derivations for salts under which nothing has
//! been opened yet: 8 at once, and one more every 10 seconds. Beyond that, opening under a new salt
//! fails with the transient [`SealError::KdfBusy`](cred_core::SealError::KdfBusy). The limit does
//! not affect sealing and proven salts.
//!
//! # Secrets in memory
//! Keys, passphrases, derived keys, opened content and the memory of Argon2id are wiped when they
//! are dropped. Temporary values of one call, on the stack or in registers, are not wiped, because
//! the libraries that this crate uses do not wipe them:
//!
//! - The Rust library `ring`: HMAC states, which depend on the master key, and AES key schedules of
//!   single messages.
//! - Argon2id: hash states, which depend on the passphrase.
//!
//! Memory is not locked: it may be swapped out or be part of a core dump. Disable both if that
//! matters.

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
