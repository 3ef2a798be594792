//! Sealed credentials in local files: atomic, durable, private, safe among threads and processes.
//!
//! ```
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
//!
//! # async fn start(base: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let config = LocalStorageConfig::default().with_base_path(base.join("credentials"));
//! let provider = LocalStorageProvider::new(config)?;
//! provider.connect().await?;
//! assert!(provider.list(None, &CredentialContext::unscoped()).await?.is_empty());
//! # Ok(())
//! # }
//! # let base = tempfile::tempdir().unwrap();
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(start(base.path())).unwrap();
//! ```
//!
//! # On disk
//! ```text
//! base/                          0700
//!   stripe-api-key.enc.json      0600, a CredentialFile in canonical JSON
//!   org=acme/team=payments/      the scope org:acme/team:payments
//!     +db_password.enc.json      DB_PASSWORD: file systems that ignore case cannot mix it up with db_password
//!   .tmp/                        files that are being written
//!   .lock                        taken by writers for the moment of a rename; never remove it while a writer runs
//! ```
//! [`FileNames`](cred_provider_kit::naming::FileNames) says how names are made. What is named
//! otherwise is left alone and not listed. The files are sealed: a copy of the directory is a
//! backup.
//!
//! # What holds
//! - **Atomic.** A value is written to a file of its own, synced and renamed over the old one: a
//!   reader, a crash or a full disk sees the old value or the new one. What a crash leaves in
//!   `.tmp` is removed at the next opening.
//! - **Durable.** A store is answered when the file, its directory and those above it are synced.
//!   Where the last sync fails, it is [`NotDurable`](cred_core::StorageErrorKind::NotDurable): the
//!   value is visible, and a power cut may undo it.
//! - **Private.** Files are 0600, directories 0700. A file that others may read, a directory that
//!   others may write, or one of another user, is refused and named. No symbolic link below the
//!   base is followed, and nothing but regular files is read; the base itself may be a link.
//!   [`allow_open_dirs`](LocalStorageConfig::allow_open_dirs) accepts a mount on which each
//!   directory is open to others.
//! - **Reads need no write access.** A store on a read-only mount can be read and listed; a write
//!   there is refused as [`ReadOnly`](cred_core::StorageErrorKind::ReadOnly).
//! - **Among processes.** Writers hold the lock only for the rename and what it depends on; reads
//!   never take it, and a list does where its directory changed while it was read.
//!   [Compare-and-set](cred_core::CompareAndSet) rests on the same lock, so it is offered unless
//!   locking is off.
//! - **Cancellation.** The blocking work of an operation is one task on the runtime's blocking
//!   threads. It runs to its end when the caller's future is dropped: the value is then stored or
//!   not, whole. A write gives up by itself at nine tenths of
//!   [`operation_timeout`](LocalStorageConfig::operation_timeout), always before the rename; a disk
//!   that hangs beyond the whole is answered [`InDoubt`](cred_core::StorageErrorKind::InDoubt).
//!
//! # What does not
//! Network file systems: `flock` and `rename` do not promise there what they promise locally.
//! Windows: this crate is empty there so far, as it has no `flock` and `openat`. Deletion is final;
//! the bytes may stay on the disk, sealed.

#[cfg(unix)]
mod client;
#[cfg(unix)]
mod config;
#[cfg(unix)]
mod error;
#[cfg(unix)]
mod provider;

#[cfg(unix)]
pub use config::LocalStorageConfig;
#[cfg(unix)]
pub use provider::LocalStorageProvider;

#[cfg(all(doctest, unix))]
#[doc = include_str!("../README.md")]
struct Readme;
