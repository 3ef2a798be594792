//! Opens the storage provider and the key ring that a `cred.toml` describes.
//!
//! The program `cred` and a service can read the same file. The service has no code for a backend,
//! and another profile moves it to another one:
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
//! One for each backend, and none by default: `local`, `aws`, `azure`, `k8s` and `vault`. `memory`
//! is for the tests of services: each opening makes a new, empty store. `azure` needs Rust 1.88,
//! `k8s` 1.89 and `aws` 1.94.1; the others need 1.85.
//!
//! # The file
//! ```toml
//! profile = "production"               # used if neither the caller nor CRED_PROFILE chooses one
//!
//! [profiles.production]
//! backend = "vault"
//! ring = "production"                  # default: "main"
//! created_by = "payments-service"      # recorded with what is first stored; default: no name
//! address = "https://vault.example.com:8200"
//! auth_method = { app_role = { role_id = "payments", secret_id = { file = "/run/secrets/vault" } } }
//! operation_timeout = "30s"
//! retry_policy = { max_retries = 3 }
//!
//! [rings.production]
//! active = "prod-2026"                 # seals; the other keys only open
//! keys.prod-2026 = { file = "/run/secrets/cred-key" }
//! keys.prod-2025 = { env = "CRED_OLD_KEY" }
//! ```
//!
//! The smallest one, with local files:
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
//! - The fields of a profile, beside `backend`, `ring` and `created_by`, are those of the backend's
//!   own configuration type, such as `VaultConfig` of `cred-store-vault`. An unknown field is an
//!   error.
//! - A field that is secret takes `{ env = "NAME" }` or `{ file = "PATH" }` and nothing else.
//!   [`SecretSource`] has the rules, and is for the configuration of the service too.
//! - Any other text, number or truth value can come from a variable:
//!   `address = { env = "VAULT_ADDR" }`. No default of a field comes from a variable. Where `aws`
//!   has no `region`, `profile` or `endpoint_url`, and `k8s` no `kubeconfig_path`, the chain of
//!   their SDK does read the environment.
//! - A relative path counts from the folder of the file, and `~/` is the home folder.
//! - A key is `{ file = "PATH" }` or `{ env = "NAME" }`: the base64 of 32 random bytes. Or it is a
//!   passphrase: `{ passphrase = { file = "PATH" }, kdf_salt = "..", check = ".." }`.
//!   `cred key add` writes both. By hand, in a file that other users cannot read:
//!   `(umask 077; head -c 32 /dev/urandom | base64 > main.key)`.
//! - `[files]` has exceptions to the rules for files: `owners`, user ids beside this user and root
//!   that files may belong to, and `shared_secrets = true`, by which files with secrets may be
//!   readable by other users, as docker mounts them.
//!
//! # Errors
//! An [`Error`] names the file, the line and the field, and says what to do. It never repeats a
//! value.

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

/// The contents of a `cred.toml`, for a program that shows, checks or edits it, as `cred` does.
/// A service needs [`open`](crate::open()) alone.
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
