//! A credential manager for services: sealed, scoped and ordered access to any storage provider.
//!
//! A manager needs a storage provider and a key ring, or another [`Sealer`](cred_core::Sealer).
//! `build()` is only available once both are set, so forgetting one is a compile error.
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
//! It needs a [Tokio](https://docs.rs/tokio) runtime with time enabled.
//!
//! # Guarantees
//! - **Sealing.** The provider sees sealed bytes only; a plaintext mode does not exist. A
//!   credential is bound to its path, its metadata and its key: opening it fails if it was moved or
//!   edited.
//! - **Scopes.** A handle made by [`CredentialManager::scoped`] reaches its own scope and the
//!   scopes below it. It can never be widened.
//! - **Ordering.** Writes to one path run one at a time, in the order in which their futures were
//!   first polled.
//! - **Errors.** If the outcome of a write is unknown, the write fails as
//!   [`InDoubt`](cred_core::StorageErrorKind::InDoubt), never as a plain failure.
//!
//! # Cancellation
//! - A write that has begun runs in a task of the manager: it completes even if
//!   the caller's future is dropped, and the value is never half written.
//! - A write whose future is dropped while it waits for the write lock has written nothing.
//! - Dropping a caller's future never breaks the guarantees under [Consistency](#consistency).
//!
//! # Consistency
//! - A read that starts after a write of this manager returned `Ok` returns that write or a later
//!   one. Over an [eventually consistent](cred_core::Consistency) provider (AWS: five minutes by
//!   default), this holds after its `point` plus one load.
//! - A write of another manager becomes visible at the latest after the TTL of the cache plus one
//!   load, plus `point` over an `Eventual` provider.
//!
//! A write whose outcome is unknown can still take effect for a time that the provider declares as
//! [`in_doubt`](cred_core::Description::in_doubt), such as 90 s on Vault. Until then, the cache
//! keeps no value of its path. If the provider has no compare-and-set:
//!
//! - The write can take effect after a later `store` or `delete` that returned `Ok`, and replace
//!   it.
//! - `rotate` and its variants, `store_if_absent`, `recover`, `purge` and `rekey` wait until it can
//!   no longer take effect, or fail as [`Busy`](cred_core::StorageErrorKind::Busy).
//! - If `rekey` made that write, every later write of this manager to that path waits, or fails as
//!   `Busy`.
//!
//! A provider may repeat a write after an attempt without a response, and then return `Ok`. If the
//! network delivers the earlier attempt later still, it takes effect like a write of another
//! manager.
//!
//! # Specification
//! [`docs/spec.md`](https://github.com/cred-rs/cred/blob/main/docs/spec.md) in the repository lists
//! each statement of the specification, where it is in the API, and what differs from it and why.
//!
//! # Logs and metrics
//! Every operation except `clear_cache` and `clear_cache_for` is a `tracing` span `cred` at DEBUG
//! with the fields `operation`, `scope`, `id`, `cache`, `outcome` and `error`, never a value. The
//! `outcome` is one of:
//!
//! - `ok`, `failed` or `in_doubt`
//! - `not_found`: for a rotation, an update or a recovery
//! - `partial`: for an operation on many credentials. `error` is then the first failure.
//!
//! A cache hit makes a span only where a subscriber listens at DEBUG.
//!
//! Events at WARN with the target `cred` report an expired credential that was loaded
//! ([`OnExpired`]), and a write that failed after its caller's future was dropped.
//!
//! With the feature `metrics`, the manager records these through the `metrics` facade. Building a
//! manager describes them to the recorder that is installed at that time.
//!
//! | metric | labels | value |
//! |---|---|---|
//! | `cred_operations_total` | `operation`, `outcome`, `provider`, `error` | completed operations; `error` is the [class](cred_core::ErrorClass::as_str), or `none` |
//! | `cred_operation_seconds` | `operation` | duration of each operation, except cache hits without a span |
//! | `cred_cache_total` | `result` | reads by `hit`, `miss` and `joined` |
//! | `cred_cache_size` | `provider` | cached credentials after the last change |
//! | `cred_cache_evictions_total` | `provider` | credentials evicted to make room for others |

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
