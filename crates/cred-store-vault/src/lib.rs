//! Stores sealed credentials in HashiCorp Vault or OpenBao, KV engine version 2.
//!
//! The provider keeps its token alive, and supports compare-and-set and recovery of deleted
//! credentials.
//!
//! ```no_run
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
//!
//! # async fn start(secret_id: cred_core::SecretString) -> Result<(), Box<dyn std::error::Error>> {
//! let config = VaultConfig::default()
//!     .with_address("https://vault.example.com:8200")
//!     .with_auth_method(VaultAuthMethod::app_role("payments", secret_id));
//! let provider = HashiCorpVaultProvider::new(config)?;
//! provider.connect().await?;
//! let ids = provider.list(None, &CredentialContext::unscoped()).await?;
//! provider.shutdown().await; // revokes the token
//! # Ok(())
//! # }
//! ```
//!
//! # Required permissions
//! ```text
//! path "secret/data/nebula/credentials/*"     { capabilities = ["create", "read", "update"] }  # "delete" for soft deletion
//! path "secret/metadata/nebula/credentials/*" { capabilities = ["read", "list", "delete"] }
//! path "secret/undelete/nebula/credentials/*" { capabilities = ["update"] }                    # for soft deletion
//! path "secret/destroy/nebula/credentials/*"  { capabilities = ["update"] }                    # for soft deletion
//! ```
//! - Custom metadata also need `"create"` and `"update"` on `secret/metadata/..`.
//! - Listing the credentials without a scope also needs `"list"` on the folder itself:
//!   `path "secret/metadata/nebula/credentials"`.
//!
//! # Storage layout
//! The credential `db-password` of the scope `org:acme/team:payments` is the secret
//! `<mount>/<prefix>/org:acme/team:payments/db-password`. Its only field, `envelope`, contains the
//! sealed credential as text, because Vault reserializes JSON and the bytes of the envelope must
//! not change. A secret with another field belongs to another program: lists contain its name, and
//! reading it is [`Corrupted`](cred_core::StorageErrorKind::Corrupted).
//!
//! ## Deleted versions
//! A secret keeps its name if Vault marks its latest version as deleted in any other way than by a
//! permanent deletion of this provider: by `vault kv delete`, a `delete_version_after` of the
//! mount, or a provider with [`VaultDeleteMode::Soft`]. Reading it is always `NotFound`. Without
//! soft deletion, a list still contains its name, because it does not read the credentials unless a
//! filter requires that.
//!
//! ## Old versions
//! Vault keeps earlier versions of a secret, by default ten. After a key rotation they are still
//! sealed with the old key. Set `max_versions` of the mount to 1 to avoid that.
//!
//! ## Custom metadata
//! With [`custom_metadata`](VaultConfig::custom_metadata) a store also writes the metadata of the
//! credential as custom metadata of its secret, so that `vault kv metadata get` shows them: each
//! tag under its key, and times, version and creator under `cred-rs.github.io/created_at`,
//! `last_modified`, `version`, `expires_at` and `created_by`. Vault cannot write them together with
//! the value:
//!
//! - Filters and reads never use them.
//! - If they cannot be written, the store succeeds, and a warning with the target `cred::storage`
//!   is logged. The custom metadata are then those of an earlier version until the next store.
//! - Vault does not accept empty values, so a tag without a value is left out. A tag with
//!   unprintable characters makes Vault refuse all of them.
//! - They replace all custom metadata of the secret, also those that other users have set.
//! - If another process deletes the credential permanently between the two requests, its name stays
//!   in lists, without a version, until it is deleted again.
//!
//! # Requests per operation
//! | operation | requests to Vault |
//! |---|---|
//! | retrieve | 1 |
//! | exists | 1; 1 more if the version has a deletion time, since only the clock of the server decides |
//! | store | 1; on a mount with `cas_required` a read and a write, both again if another writer was faster |
//! | store or store_if with `custom_metadata` | 1 more |
//! | versions | 1 |
//! | store_if with a revision | 2: the version's time is compared first, since numbers start again after a permanent deletion |
//! | store_if without a revision | 1; 3 if the name has a deleted version |
//! | delete | 1 |
//! | list | 1; with a filter 1 more for each name; with soft deletion 1 or 2 more for each name |
//! | list_tree | 1 for each scope at or below it; more for each name as in list |
//! | recover, purge | 2, 3 |
//!
//! A list sends up to 16 requests at the same time. Together they have the timeout of one request;
//! if some get no response in that time, another attempt repeats those. The first operation sends
//! one more request, to check that the mount is KV version 2, and with AppRole a login.
//!
//! # Authentication
//! With AppRole the provider logs in at the first use and renews the token when a third of the
//! lease that Vault granted is left, or
//! [`token_renewal_threshold`](VaultConfig::token_renewal_threshold) if that is less. It logs in
//! again when Vault no longer extends the lease.
//!
//! - Concurrent operations share one login, whether it succeeds or fails.
//! - A request keeps the token with which it started. If Vault no longer accepts that token, the
//!   operation continues with a new one.
//! - `shutdown` revokes the token; without it the token lives until its lease ends. If a `shutdown`
//!   was dropped or failed, another one continues it.
//! - With [`VaultAuthMethod::Token`] the provider renews the token and never revokes it.
//!
//! ## Refused logins
//! A login that Vault refuses is not repeated for 1 s, then 10 s, 100 s, and from the fourth
//! consecutive refusal on for 1,000 s. Until then, all operations fail with the reason of the
//! refusal. The pauses avoid a [user
//! lockout](https://developer.hashicorp.com/vault/docs/concepts/user-lockout): Vault counts refused
//! logins by role, and after five without a pause of 15 minutes it locks the role for 15 minutes,
//! for every process that uses it.
//!
//! One provider with an expired secret id stays below that limit; several of them together do not,
//! so give each service its own role. After the role is fixed, create a new provider or wait for
//! the pause to end. A login that fails for another reason is tried again after 0.1 s.
//!
//! ## Secret ids
//! Each login uses up one of the uses of a secret id with a limit. A provider whose secret id has
//! one use stops working when its token reaches its maximum age. Unwrap a response-wrapped secret
//! id before you pass it to the provider.
//!
//! # Consistency
//! - On a single cluster, a write is visible as soon as it succeeds.
//! - Performance standbys and replicas of Vault Enterprise answer reads from their own, possibly
//!   older, data. Use the address of the active node if a read must see the last write.
//! - If the response to a `store_if` is lost, the provider reads the secret: its own value there
//!   means success. The result is a conflict only with soft deletion, and only if the version that
//!   the store would have created belongs to another writer. Otherwise it is `InDoubt`.
//! - Without soft deletion, a `store_if` can miss a change between its read and its write: another
//!   process that deletes the credential permanently and then stores it as often as before. KV
//!   compares only version numbers. With soft deletion, numbers never start again.
//! - A `purge` can destroy a version that another process recovers during the last request: Vault
//!   destroys versions by number, deleted or not.
//!
//! # Error mapping
//! | cause | error |
//! |---|---|
//! | sealed; standby without an active node, or with a redirect to it; a node that lags behind (412); an engine that is being upgraded to version 2 | `Unavailable`; a write was certainly not done |
//! | another server error, or the connection ends before the response does | `Unavailable`; for a write `InDoubt` |
//! | a response that is not from Vault, such as a page of a proxy | `Unavailable` with host and port; for a write `InDoubt` |
//! | no connection | `Unreachable` |
//! | a server certificate that has expired, is for another host, or is from an unknown authority | `AuthenticationFailed` with the reason; not retried |
//! | 429 | `Throttled`, with the pause that Vault asks for |
//! | an expired or revoked token | replaced, or `AuthenticationFailed` |
//! | a missing capability | `PermissionDenied` with the path, the capability and the reason from Vault |
//! | a wrapped response, as from a control group | `PermissionDenied` with the path and the capability; nothing was done |
//! | no engine at the mount, or one that is not KV version 2 | `InvalidRequest` with the mount |
//!
//! Redirects are never followed, because they would send the token to another address. Messages
//! from Vault are quoted, shortened, and with the token removed in case a server repeats it.
//!
//! # Limits
//! - A value has up to 1 MiB less 1 KiB by default, counted as Vault stores it. The integrated
//!   storage accepts 1 MiB
//!   ([`max_entry_size`](https://developer.hashicorp.com/vault/docs/configuration/storage/raft#max_entry_size))
//!   including what Vault adds, which was about 220 bytes with 1.21. Consul accepts 512 KiB. For
//!   more than 1 MiB, also raise `max_json_string_value_length` of the listener. Tags have no
//!   separate limit.
//! - Vault works on a request for up to 90 s after its client has disconnected
//!   ([`default_max_request_duration`](https://developer.hashicorp.com/vault/docs/configuration#default_max_request_duration)).
//!   For that long, a write whose outcome is unknown may still become visible.
//! - A proxy in front of Vault must not add `X-Vault-Wrap-TTL`. A wrapped response is taken for
//!   that of a control group, so a write would be reported as not done although it was.
//! - The provider does not use the proxies of the environment.
//!   [`HashiCorpVaultProvider::with_client`] accepts a client that does.
//!
//! # Why the client of vaultrs is not used
//! The requests are those of `vaultrs` (0.8), but the responses are parsed here, because its
//! client:
//!
//! - drops response headers, such as `Retry-After`;
//! - hides the text of responses in another form, such as that of a deleted version;
//! - cannot change the token while requests run;
//! - merges a given authority with those of the system;
//! - follows redirects;
//! - logs an ERROR event for each credential that does not exist.

mod auth;
mod client;
mod config;
mod error;
mod provider;
mod versions;

pub use config::{VaultAuthMethod, VaultConfig, VaultDeleteMode};
pub use provider::HashiCorpVaultProvider;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use provider::fuzzing;
pub use versions::{VaultVersion, VaultVersions};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
