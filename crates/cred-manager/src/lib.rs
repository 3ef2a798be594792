//! The `cred` credential manager: sealed, scoped and ordered access to any storage provider.
//!
//! A provider and keys make a manager, and nothing else does: without either, `build()` does not
//! compile.
//!
//! ```
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use cred_core::{Credential, field};
//! use cred_manager::{CredentialManager, crypto::KeyRing};
//! use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
//!
//! let provider = MemoryStorageProvider::new(MemoryStorageConfig::default())?;
//! let keys = KeyRing::generate("main-2026".parse()?)?;
//! let manager = CredentialManager::builder().storage(provider).keys(keys).build();
//!
//! let tenant = manager.scoped("org:acme".parse()?)?;
//! let id = "stripe-api-key".parse()?;
//! tenant.store(&id, Credential::api_key("sk_live_example")).await?;
//! let key = tenant.retrieve(&id).await?.ok_or("not stored")?;
//! assert_eq!(key.expose_text(field::VALUE)?, "sk_live_example");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(start()).unwrap();
//! ```
//!
//! # What it does
//! - **Sealing.** The provider sees sealed bytes only; there is no plaintext mode. A credential is
//!   bound to its path, its metadata and its key: what was moved or edited does not open.
//! - **Scopes.** A handle made by [`CredentialManager::scoped`] reaches its own tenant and what
//!   lies below it, and can never be widened.
//! - **Order.** Writes to one path run one at a time, in the order in which their futures were
//!   first polled. A write that has begun runs in a task of the manager: dropping the caller's
//!   future neither stops nor tears it. A caller that leaves while it waits for the write lock has
//!   written nothing.
//! - **Truth.** If the outcome of a write is unknown, it fails as
//!   [`InDoubt`](cred_core::StorageErrorKind::InDoubt), never as a plain failure.
//!
//! # The cache's promise
//! A read that starts after a write of this manager was answered `Ok` returns that write or a later
//! one. Over an [`Eventual`](cred_core::Consistency) provider, that holds after `point` plus one
//! load. A write of another manager becomes visible after the TTL plus one load at the latest, and
//! over an `Eventual` provider after `point` as well. Dropping a caller's future never breaks this.
//!
//! A write whose outcome is unknown can still land for
//! [`in_doubt`](cred_core::Description::in_doubt). The cache keeps nothing of its path until then.
//! Where the provider has no compare-and-set:
//! - It can land after a later `store` or `delete` that was answered `Ok`, and replace it.
//! - `rotate` and its variants, `store_if_absent` and `rekey` wait until it cannot land any more,
//!   or are [`Busy`](cred_core::StorageErrorKind::Busy).
//! - If a re-key made it, every later write of this manager to that path waits, or is `Busy`.
//!
//! A provider may send a write again after an attempt without a response, and then answer `Ok`. If
//! the network delivers the earlier attempt later still, it lands like a write of another manager.
//!
//! # The specification
//! [`docs/spec.md`](https://github.com/cred-rs/cred/blob/main/docs/spec.md) in the repository lists
//! each statement of the specification, where it is in the API, and what differs from it and why.
//!
//! # Watching it
//! Every operation but `clear_cache` and `clear_cache_for` is a `tracing` span `cred` at DEBUG with
//! the fields `operation`, `scope`, `id`, `cache`, `outcome` and `error`, never a value. The
//! outcome is `ok`, `failed`, `in_doubt`, or `not_found` of a rotation, an update or a recovery; of
//! many at once also `partial`, with the first failure as the error. A cache hit makes a span only
//! where a subscriber listens at DEBUG.
//!
//! Events at WARN with the target `cred` report an expired credential that was loaded
//! ([`OnExpired`]), and a write that failed after its caller had left.
//!
//! With the feature `metrics`, these are recorded through the `metrics` facade. Building a manager
//! describes them to the recorder that is installed by then.
//!
//! | metric | labels | value |
//! |---|---|---|
//! | `cred_operations_total` | `operation`, `outcome`, `provider`, `error` | operations that have ended; `error` is the [class](cred_core::ErrorClass::as_str), or `none` |
//! | `cred_operation_seconds` | `operation` | their times, but for cache hits that make no span |
//! | `cred_cache_total` | `result` | reads by `hit`, `miss` and `joined` |
//! | `cred_cache_size` | `provider` | cached credentials after the last change |
//! | `cred_cache_evictions_total` | `provider` | credentials that made room for others |
//!
//! It needs a [Tokio](https://docs.rs/tokio) runtime with time enabled.

mod backend;
mod batch;
mod builder;
mod cache;
mod conditional;
mod error;
mod expiry;
mod fetch_many;
mod keys;
mod lists;
mod manager;
mod meter;
mod observe;
mod recovery;
mod rekey;
mod rotation;
mod sealing;
mod shared;
mod tasks;
mod update;
mod validation;
mod visibility;
mod windows;
mod write_lock;

pub use batch::BatchItem;
pub use builder::{CredentialManagerBuilder, No, Slot, Yes};
pub use cache::CacheStats;
pub use error::ManagerError;
pub use expiry::OnExpired;
pub use lists::ListOptions;
pub use manager::CredentialManager;
pub use rekey::{Rekey, RekeyReport};
pub use validation::{Finding, ValidatedPath, ValidationResult};

/// Local keys: the `cred-crypto` crate, as `cred_manager::crypto`.
#[cfg(feature = "crypto")]
pub use cred_crypto as crypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
