//! Sealed credentials in Azure Key Vault: service principals and managed identities, soft deletion,
//! recovery.
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
//! The credential `db-password` of the scope `org:acme` is the secret
//! `<prefix>org-cacme-sdb--password` ([naming](cred_provider_kit::naming)): names are 127
//! characters without case, so what they cannot hold is written with hyphens, and no two paths
//! share a name. One that is longer is hashed, and its path stands in the tags `cred-path-0` to
//! `-2`. The value is the sealed credential; its tags and its expiry are set with it, so that
//! people see them in the portal. A principal that can list can read tags: never put a secret into
//! one. Tags that a person edits there hide the credential from filters of these tags.
//!
//! Key Vault keeps all versions of a secret until it is purged. After a change of keys the earlier
//! ones are still sealed under the old key.
//!
//! # Required permissions
//! | operation | access policy | data action of Azure RBAC, below `Microsoft.KeyVault/vaults/secrets/` |
//! |---|---|---|
//! | retrieve, exists | Get | `getSecret/action` |
//! | store | Set | `setSecret/action` |
//! | store over a deleted name, by recovery | also Recover; where the write fails Get and Delete | also `recover/action`; where the write fails `getSecret/action` and `delete` |
//! | store over a deleted name, by purge | also Purge | also `purge/action` |
//! | delete | Delete | `delete` |
//! | connect, list, list_tree, list_deleted | List | `readMetadata/action` |
//! | list, list_tree with a filter | List and Get | `readMetadata/action` and `getSecret/action` |
//! | recover | Recover and Get | `recover/action` and `getSecret/action` |
//! | purge | Purge; Get names the reason of a refusal | `purge/action`; `readMetadata/action` names the reason of a refusal |
//!
//! The role [Key Vault Secrets
//! Officer](https://learn.microsoft.com/azure/key-vault/general/rbac-guide) on the vault has all of
//! them. Key Vault Secrets User has `getSecret` and `readMetadata`, which is enough to read, list
//! and filter.
//!
//! **`exists` reads the value.** The only request of Key Vault that returns the state of a secret
//! without its value lists the versions of the secret. It needs List, and Azure does not document
//! its answer for a deleted secret. `exists` makes the request of `retrieve` instead, so it needs
//! no right that `retrieve` does not need. The value in the answer is the sealed credential, unless
//! another program has stored a secret under the name; it is not opened, and is dropped with the
//! answer. The vault's audit log has the request as
//! `SecretGet`. An identity that must not read values can list, but cannot call `exists`.
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
//! The first call is made twice, since Azure tells by a refusal what a token must be for, and a
//! token is asked for. Azure takes [4,000 requests in ten
//! seconds](https://learn.microsoft.com/azure/key-vault/general/service-limits) for a vault.
//!
//! # Deleted names
//! **Recovery period.** Azure keeps a deleted secret, and its name with it, for the number of days
//! in the vault's property `softDeleteRetentionInDays`: 7 to 90, 90 unless the vault was created
//! with another number, and [not to be changed
//! later](https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview). No request on
//! a secret can set it, so this provider has no setting for it. Azure returns the period of a
//! deleted secret as `recoverableDays`, and the end of it as `scheduledPurgeDate`;
//! `az keyvault secret show-deleted` prints both. With purge protection, no identity can purge a
//! secret earlier: `purge` is `PermissionDenied` then. With the right to read deleted secrets, its
//! error names the day on which Azure purges the secret.
//!
//! **Stores over a deleted name** do what [`over_deleted`](AzureKeyVaultConfig::over_deleted)
//! selects. The default recovers the secret and writes a new version. The old value can be read for
//! a moment then; a process that ends in this moment leaves it there. If the write fails, the
//! secret is deleted again, and the error is
//! [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten). Before that deletion
//! the provider reads the secret: a version that another process has written since then stays,
//! unless it is written between the read and the deletion, for which Azure has no condition.
//!
//! **Deletions that Azure has not completed** count as deleted. An operation that must wait for one
//! waits within [`operation_timeout`](AzureKeyVaultConfig::operation_timeout), and fails with
//! [`Busy`](cred_core::StorageErrorKind::Busy) after that. A deletion appears in `list_deleted`
//! when Azure has completed it: lists are `Eventual` by 30 s, for which Azure names no bound; reads
//! are consistent at once.
//!
//! # The token
//! One request for a token serves all who wait, also when it fails; a refusal is not asked for
//! again for one second. A token that the vault refuses with 401 is thrown away, and the call is
//! made again with another one, once. Tokens are replaced five minutes before their end, or when a
//! third of their life is left. Only tokens for Key Vault, or for the host that
//! [`allowed_host`](AzureKeyVaultConfig::allowed_host) names, are ever asked for.
//!
//! # What is told apart
//! | seen | told as |
//! |---|---|
//! | 404 `SecretNotFound` | `NotFound` |
//! | 403 | `PermissionDenied`, with the action, the principal and Azure's code |
//! | 403 `SecretDisabled` | `PermissionDenied`, saying so; it exists |
//! | purge protection | `PermissionDenied`, with the day of Azure's own purge |
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
//!   characters](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets), of which three
//!   and the configured ones are not the caller's. Refused before anything is sent.
//! - No compare-and-set: Key Vault has no conditional writes.
//! - In a failover of a region the vault is read-only for a while, and answers from another copy.
//! - Proxies of the environment are not used. [`AzureKeyVaultProvider::with_client`] takes a client
//!   that does.
//! - Managed identities of Azure Arc, Service Fabric and Cloud Shell are not known to the SDK.
//!   `DeveloperTools` starts `az` or `azd`.
//! - Nothing in the process may turn on the feature `debug` of `azure_core`: it prints bearers and
//!   values.

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
