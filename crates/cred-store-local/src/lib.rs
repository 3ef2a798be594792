//! Stores sealed credentials in local files. Writes are atomic and durable, files are private, and
//! any number of threads and processes can share a directory.
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
//! # Storage layout
//! ```text
//! base/                          0700
//!   stripe-api-key.enc.json      0600, a CredentialFile in canonical JSON
//!   org=acme/team=payments/      the scope org:acme/team:payments
//!     +db_password.enc.json      DB_PASSWORD: file systems that ignore case cannot mix it up with db_password
//!   .tmp/                        temporary files of writes in progress
//!   .lock                        locked by writers during a rename; do not remove it while a writer runs
//! ```
//! [`FileNames`](cred_provider_kit::naming::FileNames) documents the naming scheme. Files with
//! other names are ignored: they are neither listed nor changed. A copy of the directory is a
//! backup, since the files are sealed.
//!
//! # Guarantees
//! - **Atomic writes.** A value is written to a temporary file, synced and renamed over the old
//!   file. A reader sees the old value or the new one, also after a crash or on a full disk. Files
//!   that a crashed writer left in `.tmp` are removed when a provider next opens the directory.
//! - **Durability.** A store returns when the file, its directory and those above it are synced. If
//!   the last sync fails, the error is
//!   [`NotDurable`](cred_core::StorageErrorKind::NotDurable): the value is visible, but a power cut
//!   may undo it.
//! - **Permissions.** Files are 0600, directories 0700. The provider rejects, with an error that
//!   names it, a file that other users can access, a directory that other users can write, and a
//!   file or directory of another user. It reads only regular files and follows no symbolic link
//!   below the base; the base itself may be a link.
//!   [`allow_open_dirs`](LocalStorageConfig::allow_open_dirs) accepts a mount on which every
//!   directory is writable by other users.
//! - **Reads need no write access.** A store on a read-only mount can be read and listed. A write
//!   fails there with [`ReadOnly`](cred_core::StorageErrorKind::ReadOnly).
//! - **Concurrent use.** Writers hold the store lock only for the rename, and for the check before
//!   a conditional one. Reads never take it. A list takes it if a directory changed while, or up to
//!   20 ms before, it was read. [Compare-and-set](cred_core::CompareAndSet) depends on this lock,
//!   so it is available unless [`enable_locking`](LocalStorageConfig::enable_locking) is false.
//!
//! # Cancellation
//! - The blocking work of an operation is one task on the runtime's blocking threads. Dropping the
//!   caller's future does not stop it: a value is then stored as a whole or not at all.
//! - A write stops waiting at nine tenths of
//!   [`operation_timeout`](LocalStorageConfig::operation_timeout), always before the rename.
//! - If the disk hangs until the whole timeout has passed, a write fails with
//!   [`InDoubt`](cred_core::StorageErrorKind::InDoubt).
//!
//! # Limitations
//! - Network file systems: `flock` and `rename` guarantee less there than on a local disk.
//! - Windows: the crate compiles but is empty, because Windows has no `flock` and `openat`.
//! - Deletion is final, but the sealed bytes may stay on the disk.

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
