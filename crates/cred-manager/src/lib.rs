//! The `cred` credential manager: sealed, scoped and ordered access to any storage provider.
//!
//! A provider and keys make a manager, and nothing else does: without either, `build()` does not compile.
//!
//! ```
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use cred_core::{Credential, field};
//! use cred_manager::{CredentialManager, crypto::KeyRing};
//! use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
//!
//! let provider = Arc::new(MemoryStorageProvider::new(MemoryStorageConfig::default())?);
//! let keys = Arc::new(KeyRing::generate("main-2026".parse()?)?);
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
//! - **Sealing.** The provider sees sealed bytes only; there is no plaintext mode. A credential is bound to its path,
//!   its metadata and its key: what was moved or edited does not open.
//! - **Scopes.** A handle made by [`CredentialManager::scoped`] reaches its own tenant and what lies below it, and
//!   can never be widened.
//! - **Order.** Writes to one path run one at a time, in the order in which their futures were first polled. A write
//!   that has begun runs in a task of the manager: dropping the caller's future neither stops nor tears it. A caller
//!   that leaves while it waits for its turn has written nothing.
//! - **Truth.** A write that got no answer is
//!   [in doubt](cred_core::StorageErrorKind::InDoubt), never silently lost and never called failed.
//!
//! It needs a [Tokio](https://docs.rs/tokio) runtime with time enabled.

mod batch;
mod builder;
mod cache;
mod error;
mod manager;
mod observe;
mod rekey;
mod rotation;
mod sealing;
mod shared;
mod tasks;
mod turns;
mod validation;

pub use builder::{CredentialManagerBuilder, No, Slot, Yes};
pub use cache::CacheStats;
pub use error::ManagerError;
pub use manager::CredentialManager;
pub use rekey::RekeyReport;
pub use validation::ValidationResult;

/// Local keys: the `cred-crypto` crate, as `cred_manager::crypto`.
#[cfg(feature = "crypto")]
pub use cred_crypto as crypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
