//! Stores sealed credentials in Redis: the complete code of `docs/writing-a-provider.md`.
//!
//! Each credential is one hash, at the key `PREFIX` and the path. The field `envelope` has the
//! sealed credential, `revision` identifies the write. Use a separate database: a list scans all
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
