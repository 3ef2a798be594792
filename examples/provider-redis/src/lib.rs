//! Keeps sealed credentials in Redis: what `docs/writing-a-provider.md` builds, whole.
//!
//! One hash a credential, at the key `PREFIX` and the path: the field `envelope` is what is sealed,
//! `revision` tells this write from every other. Give it a database of its own: lists look at all
//! keys. Redis answers before a write is on the disk, unless its `appendfsync` is `always`.
//!
//! ```no_run
//! use cred_core::{CredentialContext, StorageProvider};
//! use provider_redis::{RedisConfig, RedisProvider};
//!
//! # async fn look() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = RedisProvider::new(RedisConfig { address: "127.0.0.1:6379".into(), ..RedisConfig::default() })?;
//! println!("{:?}", provider.list(None, &CredentialContext::unscoped()).await?);
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod error;
mod provider;

pub use config::RedisConfig;
pub use provider::RedisProvider;
