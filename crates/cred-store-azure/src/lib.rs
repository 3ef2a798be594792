//! Sealed credentials in Azure Key Vault: service principals and managed identities, soft deletion, recovery.
//!
//! ```no_run
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_azure::{AzureKeyVaultConfig, AzureKeyVaultProvider};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AzureKeyVaultConfig::default().with_vault_url("https://my-vault.vault.azure.net/");
//! let provider = AzureKeyVaultProvider::new(config)?; // asks as the managed identity
//! let ids = provider.list(None, &CredentialContext::unscoped()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # In the vault
//! The credential `db-password` of the scope `org:acme` is the secret `<prefix>org-cacme-sdb--password`
//! ([naming](cred_provider_kit::naming)): names are 127 characters without case, so what they cannot hold is written with hyphens, and
//! no two paths share a name. One that is longer is hashed, and its path stands in the tags `cred-path-0` to `-2`. The value is
//! the sealed credential; its tags and its expiry are set with it, so that people see them in the portal. Whoever may list can read tags:
//! never put a secret into one. Tags that somebody edits there hide the credential from filters of these tags.
//!
//! Key Vault keeps all versions of a secret until it is purged. After a change of keys the earlier ones are still sealed under the old
//! key.
//!
//! # What an identity needs
//! With roles [Key Vault Secrets Officer](https://learn.microsoft.com/azure/key-vault/general/rbac-guide) on the vault, or a role of your
//! own with the data actions `getSecret`, `setSecret`, `readMetadata`, `delete`, `recover`, and `purge` where that is used. With access
//! policies Get, List, Set, Delete, Recover, and Purge where that is used. [Secrets
//! User](https://learn.microsoft.com/azure/key-vault/general/rbac-guide) is enough to read.
//!
//! # Calls to Azure
//! | operation | calls |
//! |---|---|
//! | retrieve, exists, delete | 1 |
//! | store | 1; over a deleted name 3, where the write fails 5, and waits of some seconds while Azure deletes and recovers |
//! | list, list_tree, list_deleted | 1 for each 25 secrets in the whole vault; with a filter 1 more for each credential whose tags match, 16 at once |
//! | recover | 1, and looks until it can be read, which takes seconds |
//! | purge | 1; 1 more where it is refused |
//!
//! The first call is made twice, since Azure tells by a refusal what a token must be for, and a token is asked for. Azure takes [4,000
//! requests in ten seconds](https://learn.microsoft.com/azure/key-vault/general/service-limits) for a vault.
//!
//! # Deleted names
//! Azure keeps a deleted secret for 7 to 90 days, and its name with it. A store over such a name does what
//! [`over_deleted`](AzureKeyVaultConfig::over_deleted) says; the default recovers it and writes a new version. The old value can be read for a
//! moment then; a process that ends in this moment leaves it there. Where the write fails, the secret is deleted again, and the error is
//! [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten). Before that it is looked at: what somebody else has written since
//! stays, unless that comes between the look and the deletion, for which Azure has no condition. A deletion that is still going counts as deleted; what must
//! wait for it waits within [`operation_timeout`](AzureKeyVaultConfig::operation_timeout), and is
//! [`Busy`](cred_core::StorageErrorKind::Busy) after that. A deletion appears in `list_deleted` when Azure has ended it: lists are
//! `Eventual` by 30 s, for which Azure names no bound; reads are consistent at once.
//!
//! # The token
//! One request for a token serves all who wait, also when it fails; a refusal is not asked for again for one second. A token that the vault
//! refuses with 401 is thrown away, and the call is made again with another one, once. Tokens are replaced five minutes before their end,
//! or when a third of their life is left. Only tokens for Key Vault, or for the host that
//! [`allowed_host`](AzureKeyVaultConfig::allowed_host) names, are ever asked for.
//!
//! # What is told apart
//! | seen | told as |
//! |---|---|
//! | 404 `SecretNotFound` | `NotFound` |
//! | 403 | `PermissionDenied`, with the action, the principal and Azure's code |
//! | 403 `SecretDisabled` | `PermissionDenied`, saying so; it exists |
//! | purge protection | `PermissionDenied`, saying so |
//! | 409 `ObjectIsDeletedButRecoverable` | recovered, purged, or `InvalidRequest`, as configured |
//! | 409 `ObjectIsBeingDeleted`, `ObjectIsBeingRecovered` | waited out, `Busy` at the end |
//! | 429 | `Throttled`, with Azure's pause |
//! | 401 after a new token, a wrong client secret | `AuthenticationFailed`, with the AKV or AADSTS code |
//! | no token because its endpoint fails or is not there | `Unreachable`: nothing was sent |
//! | no connection | `Unreachable` |
//! | a certificate that is expired, for another host, or of another authority | `AuthenticationFailed`, saying which; not tried again |
//! | an error of the server, a connection that ends in the answer | `Unavailable`, a write is in doubt |
//! | a page of a list that goes on at another host | `Other`; never followed |
//! | an answer that is not Key Vault's, such as a page of a proxy | `Unavailable` with host and port; a write is in doubt |
//!
//! # Limits
//! - A value has 25 KiB, a secret [15 tags of 256
//!   characters](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets), of which three and the configured ones are not the
//!   caller's. Refused before anything is sent.
//! - No compare-and-set: Key Vault has no conditional writes.
//! - In a failover of a region the vault is read-only for a while, and answers from another copy.
//! - Proxies of the environment are not used. [`AzureKeyVaultProvider::with_client`] takes a client that does.
//! - Managed identities of Azure Arc, Service Fabric and Cloud Shell are not known to the SDK. `DeveloperTools` starts `az` or `azd`.
//! - Nothing in the process may turn on the feature `debug` of `azure_core`: it prints bearers and values.

mod auth;
mod client;
mod config;
mod error;
mod provider;

pub use config::{AzureCredentialType, AzureKeyVaultConfig, AzureOverDeleted};
pub use provider::AzureKeyVaultProvider;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use provider::fuzzing;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
