//! Stores sealed credentials in Azure Key Vault.
//!
//! The provider authenticates as a managed identity, a service principal or the login of a
//! developer tool, and supports soft deletion and recovery.
//!
//! ```no_run
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_azure::{AzureKeyVaultConfig, AzureKeyVaultProvider};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AzureKeyVaultConfig::default().with_vault_url("https://my-vault.vault.azure.net/");
//! let provider = AzureKeyVaultProvider::new(config)?; // uses the managed identity
//! let ids = provider.list(None, &CredentialContext::unscoped()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Required permissions
//! | operation | access policy | data action of Azure RBAC, below `Microsoft.KeyVault/vaults/secrets/` |
//! |---|---|---|
//! | retrieve, exists | Get | `getSecret/action` |
//! | store | Set | `setSecret/action` |
//! | store over a deleted name, by recovery | also Recover; if the write fails, Get and Delete | also `recover/action`; if the write fails, `getSecret/action` and `delete` |
//! | store over a deleted name, by purge | also Purge | also `purge/action` |
//! | delete | Delete | `delete` |
//! | connect, list, list_tree, list_deleted | List | `readMetadata/action` |
//! | list, list_tree with a filter | List and Get | `readMetadata/action` and `getSecret/action` |
//! | recover | Recover and Get | `recover/action` and `getSecret/action` |
//! | purge | Purge; Get to report why a purge is refused | `purge/action`; `readMetadata/action` to report why a purge is refused |
//!
//! The role [Key Vault Secrets
//! Officer](https://learn.microsoft.com/azure/key-vault/general/rbac-guide) on the vault has all of
//! them. Key Vault Secrets User has `getSecret` and `readMetadata`, which is enough to read, list
//! and filter.
//!
//! ## `exists` reads the value
//! `exists` makes the request of `retrieve`, so it needs no right that `retrieve` does not need. An
//! identity that must not read values can list, but cannot call `exists`.
//!
//! - The value in the response is the sealed credential, unless another program has stored a secret
//!   under the name. The provider drops it unopened.
//! - The audit log of the vault records the request as `SecretGet`.
//! - The only request of Key Vault that returns the state of a secret without its value lists the
//!   versions of the secret. It needs List, and Azure does not document its response for a deleted
//!   secret.
//!
//! # Storage layout
//! The credential `db-password` of the scope `org:acme` is the secret
//! `<prefix>org-cacme-sdb--password` ([naming](cred_provider_kit::naming)). Names in Key Vault have
//! up to 127 characters and ignore case, so other characters are encoded with hyphens; no two paths
//! share a name. A longer name is hashed, and its path is stored in the tags `cred-path-0` to
//! `-2`.
//!
//! The value is the sealed credential. Each store also sets the tags and the expiry, so that they
//! are visible in the portal.
//!
//! - A principal that can list can read tags: never put a secret into one.
//! - If a person edits tags in the portal, filters of these tags no longer find the credential.
//! - Key Vault keeps all versions of a secret until it is purged. After a key rotation the earlier
//!   ones are still sealed with the old key.
//!
//! # Requests per operation
//! | operation | requests to Azure |
//! |---|---|
//! | retrieve, exists, delete | 1 |
//! | store | 1; over a deleted name 3, or 5 if the write fails, and waits of some seconds while Azure deletes and recovers |
//! | list, list_tree, list_deleted | 1 for each 25 secrets in the whole vault; with a filter 1 more for each credential whose tags match, up to 16 at the same time |
//! | recover | 1, and reads until the secret can be read, which takes seconds |
//! | purge | 1; 1 more if it is refused |
//!
//! The first request is made twice, because the response to a request without a token names the
//! resource that the token must be for. In between, the provider requests a token. Azure allows
//! [4,000 requests in ten
//! seconds](https://learn.microsoft.com/azure/key-vault/general/service-limits) for a vault.
//!
//! # Soft deletion
//! ## Recovery period
//! Azure keeps a deleted secret, and its name, for the number of days in the vault's property
//! `softDeleteRetentionInDays`: 7 to 90 days. It is 90 unless the vault was created with another
//! number, and [cannot be changed
//! later](https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview). This provider
//! has no setting for it, because no request on a secret can set it. Azure returns the period of a
//! deleted secret as `recoverableDays`, and its end as `scheduledPurgeDate`;
//! `az keyvault secret show-deleted` prints both.
//!
//! ## Purge protection
//! With purge protection, no identity can purge a secret earlier, and `purge` is
//! `PermissionDenied`. If the identity can read deleted secrets, the error names the day on which
//! Azure purges the secret.
//!
//! ## Stores over a deleted name
//! [`over_deleted`](AzureKeyVaultConfig::over_deleted) selects what a store does if a deleted
//! secret has its name. By default, it recovers the secret and writes a new version:
//!
//! - The old value can be read for a moment. If the process ends in this moment, the old value
//!   stays.
//! - If the write fails, the secret is deleted again, and the error is
//!   [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten).
//! - Before that deletion the provider reads the secret and keeps a version that another process
//!   has written since then. A version that is written between the read and the deletion is lost,
//!   because Azure has no conditional deletion.
//!
//! ## Deletions in progress
//! A deletion that Azure has not completed counts as deleted. An operation that must wait for one
//! waits within [`operation_timeout`](AzureKeyVaultConfig::operation_timeout), and then fails with
//! [`Busy`](cred_core::StorageErrorKind::Busy).
//!
//! # Consistency
//! - Reads see a completed write at once.
//! - Lists are `Eventual` within 30 s; Azure documents no bound. A deletion appears in
//!   `list_deleted` when Azure has completed it.
//! - If a region fails over, the vault is read-only for a while, and answers from another copy.
//!
//! # Authentication
//! - Concurrent operations share one token request, whether it succeeds or fails. A refusal is not
//!   repeated for one second.
//! - A token that the vault refuses with 401 is discarded, and the request is made again with
//!   another token, once.
//! - A token is replaced five minutes before it expires, or when a third of its lifetime is left if
//!   that is less.
//! - The provider only requests tokens for Key Vault, or for the host that
//!   [`allowed_host`](AzureKeyVaultConfig::allowed_host) names.
//!
//! # Error mapping
//! | cause | error |
//! |---|---|
//! | 404 `SecretNotFound` | `NotFound` |
//! | 403 | `PermissionDenied`, with the action, the principal and the code from Azure |
//! | 403 `SecretDisabled` | `PermissionDenied` with that reason; the secret exists |
//! | purge protection | `PermissionDenied`, with the day on which Azure purges the secret |
//! | 409 `ObjectIsDeletedButRecoverable` | recovered, purged, or `InvalidRequest`, as configured |
//! | 409 `ObjectIsBeingDeleted`, `ObjectIsBeingRecovered` | the provider waits until it has ended; `Busy` if that takes longer than the operation's timeout |
//! | 429 | `Throttled`, with the pause that Azure asks for |
//! | 401 with a new token, a wrong client secret | `AuthenticationFailed`, with the AKV or AADSTS code |
//! | no token, because the token endpoint fails or does not exist | `Unreachable`: nothing was sent |
//! | no connection | `Unreachable` |
//! | a server certificate that has expired, is for another host, or is from an unknown authority | `AuthenticationFailed` with the reason; not retried |
//! | a server error, or the connection ends before the response does | `Unavailable`; for a write `InDoubt` |
//! | a list whose next page is at another host | `Other`; the link is never followed |
//! | a response that is not from Key Vault, such as a page of a proxy | `Unavailable` with host and port; for a write `InDoubt` |
//!
//! # Limits
//! - A value has up to 25 KiB, and a secret up to [15 tags of 256
//!   characters](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets). Three of the
//!   tags are reserved, and [`default_tags`](AzureKeyVaultConfig::default_tags) also count. A
//!   larger credential is refused before anything is sent.
//! - Compare-and-set is not supported, because Key Vault has no conditional writes.
//! - Proxies of the environment are not used. To use one, configure it in a client for
//!   [`AzureKeyVaultProvider::with_client`].
//! - The SDK does not support the managed identities of Azure Arc, Service Fabric and Cloud Shell.
//! - [`DeveloperTools`](AzureCredentialType::DeveloperTools) starts `az` or `azd`.
//! - No crate in the process may enable the feature `debug` of `azure_core`: it prints bearer
//!   tokens and values.

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
