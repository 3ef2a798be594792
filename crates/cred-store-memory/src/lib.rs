//! An in-memory storage provider for `cred`: for tests, examples and credentials that need not
//! outlive the process.
//!
//! A real provider, not a stub: it keeps the same encoded payload as every other backend, counts
//! limits on it, and offers compare-and-set always and soft deletion where it is configured. Clones
//! share one store. As every provider on the kit, it needs a tokio runtime with its timer enabled.
//!
//! ```
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
//!
//! let provider = MemoryStorageProvider::new(MemoryStorageConfig::default().with_soft_delete(true))?;
//! assert!(provider.soft_delete().is_some());
//! assert!(provider.list(None, &CredentialContext::unscoped()).await?.is_empty());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(start()).unwrap();
//! ```

mod config;
mod provider;
mod state;

pub use config::MemoryStorageConfig;
pub use provider::MemoryStorageProvider;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
