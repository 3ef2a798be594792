//! Opens the storage provider and the key ring that a `cred.toml` describes.
//!
//! A service and the program `cred` can read the same file. The service needs no backend-specific
//! code, and moves to another backend by opening another profile:
//!
//! ```no_run
//! use cred_manager::CredentialManager;
//!
//! let store = cred_config::open("cred.toml", None)?;
//! let manager = CredentialManager::builder().storage(store.provider).keys(store.sealer).build();
//! # Ok::<(), cred_config::Error>(())
//! ```
//!
//! # Features
//! Each backend has a feature, and none is on by default: `local`, `aws`, `azure`, `k8s` and
//! `vault`. `memory` is for tests of services: each [`open`](crate::open()) creates a new, empty
//! store. `azure` needs Rust 1.88, `k8s` 1.89 and `aws` 1.94.1; the others need 1.85.
//!
//! # File format
//! ```toml
//! profile = "production"               # used if neither the caller nor CRED_PROFILE chooses one
//!
//! [profiles.production]
//! backend = "vault"
//! ring = "production"                  # default: "main"
//! created_by = "payments-service"      # recorded with newly stored credentials; default: none
//! address = "https://vault.example.com:8200"
//! auth_method = { app_role = { role_id = "payments", secret_id = { file = "/run/secrets/vault" } } }
//! operation_timeout = "30s"
//! retry_policy = { max_retries = 3 }
//!
//! [rings.production]
//! active = "prod-2026"                 # seals new credentials; the other keys only open old ones
//! keys.prod-2026 = { file = "/run/secrets/cred-key" }
//! keys.prod-2025 = { env = "CRED_OLD_KEY" }
//! ```
//!
//! A minimal file, with the backend `local`:
//!
//! ```toml
//! [profiles.dev]
//! backend = "local"
//! base_path = "store"
//!
//! [rings.main]
//! active = "main-2026"
//! keys.main-2026 = { file = "main.key" }
//! ```
//!
//! - **Fields.** A profile has the fields `backend`, `ring` and `created_by`, and those of the
//!   backend's configuration type, such as `VaultConfig` of `cred-store-vault`. An unknown field is
//!   an error.
//! - **Secrets.** A secret field must be `{ env = "NAME" }` or `{ file = "PATH" }`.
//!   [`SecretSource`] documents the rules, and a service can use it in its own configuration.
//! - **Variables.** Any other string, number or boolean can come from an environment variable:
//!   `address = { env = "VAULT_ADDR" }`. No field has a default that comes from a variable.
//!   However, the SDKs read the environment if `aws` has no `region`, `profile` or `endpoint_url`,
//!   or `k8s` has no `kubeconfig_path`.
//! - **Paths.** A relative path is relative to the folder of the file. `~/` is the home folder.
//! - **Keys.** A key is `{ file = "PATH" }` or `{ env = "NAME" }`, whose content is the base64 of
//!   32 random bytes. Or it is a passphrase:
//!   `{ passphrase = { file = "PATH" }, kdf_salt = "..", check = ".." }`. `cred key add` writes
//!   both. To make a key file by hand that other users cannot read:
//!   `(umask 077; head -c 32 /dev/urandom | base64 > main.key)`.
//! - **File checks.** The table `[files]` relaxes the checks of files. `owners` lists user ids that
//!   may own files, in addition to this user and root. `shared_secrets = true` accepts files with
//!   secrets that other users can read, as Docker mounts them.
//!
//! # Errors
//! An [`Error`] names the file, the line, the field and the fix. It never repeats a value of the
//! file.

mod backend;
mod config;
mod error;
mod file;
#[cfg(feature = "memory")]
mod memory;
mod open;
mod opened;
mod ring;
mod secret;
mod value;

pub use error::{Error, Place};
pub use open::{Store, open};
pub use secret::SecretSource;

/// The contents of a `cred.toml`, for a program that shows, checks or edits it, as `cred` does. A
/// service only needs [`open`](crate::open()).
pub mod model {
    pub use crate::backend::Backend;
    pub use crate::config::{Config, Profile};
    pub use crate::file::{BOM, ConfigFile, Origin, is_name};
    pub use crate::opened::{Refusal, check_folder, is_of_another_user, is_shared, read_of_user};
    pub use crate::ring::{Key, PassphraseCheck, Ring};
    pub use crate::value::Node;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
