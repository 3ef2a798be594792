//! An in-memory storage provider for `cred`: for tests, examples and credentials that need not
//! outlive the process.
//!
//! It is a real provider, not a stub. It stores the same encoded payload as every other backend,
//! checks limits on it, and offers compare-and-set, and soft deletion if configured. Clones share
//! one store. It needs a tokio runtime with its timer enabled.
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
