//! Sealed credentials in HashiCorp Vault or OpenBao: KV version 2, tokens kept alive, recovery,
//! compare-and-set.
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
//! provider.shutdown().await; // gives the token back
//! # Ok(())
//! # }
//! ```
//!
//! # In Vault
//! The credential `db-password` of the scope `org:acme/team:payments` is the secret
//! `<mount>/<prefix>/org:acme/team:payments/db-password`. It has one field, `envelope`: the sealed
//! credential as text, since Vault writes JSON anew and the envelope's bytes must stay. A secret
//! with another field is somebody else's: its name is listed, and reading it is
//! [`Corrupted`](cred_core::StorageErrorKind::Corrupted).
//!
//! What Vault marks as deleted by other ways than this provider's (`vault kv delete`, a mount's
//! `delete_version_after`, a provider with [`VaultDeleteMode::Soft`]) keeps its name. Reading it is
//! `NotFound` always; without soft deletion a list gives its name none the less, since it looks
//! into no credential, unless a filter has it do so.
//!
//! Vault keeps earlier versions of a secret, ten by default. After a change of keys they are still
//! sealed under the old one: set the mount's `max_versions` to 1 where that matters.
//!
//! **Custom metadata.** With [`custom_metadata`](VaultConfig::custom_metadata) a store also writes
//! the metadata of the credential as custom metadata of its secret, so that `vault kv metadata get`
//! shows them: each tag under its key, and times, version and creator under
//! `cred-rs.github.io/created_at`, `last_modified`, `version`, `expires_at` and `created_by`. Vault
//! cannot write them together with the value:
//!
//! - Filters and reads never use them.
//! - If they cannot be written, the store succeeds, and a warning with the target `cred::storage`
//!   is logged. The custom metadata are then those of an earlier version until the next store.
//! - Vault takes no empty values, so a tag without a value is left out. A tag with unprintable
//!   characters makes Vault refuse all of them.
//! - They replace all custom metadata of the secret, also those that other users have set.
//! - If another process deletes the credential permanently between the two calls, its name stays in
//!   lists, without a version, until it is deleted again.
//!
//! # What a role needs
//! ```text
//! path "secret/data/nebula/credentials/*"     { capabilities = ["create", "read", "update"] }  # "delete" for soft deletion
//! path "secret/metadata/nebula/credentials/*" { capabilities = ["read", "list", "delete"] }
//! path "secret/undelete/nebula/credentials/*" { capabilities = ["update"] }                    # for soft deletion
//! path "secret/destroy/nebula/credentials/*"  { capabilities = ["update"] }                    # for soft deletion
//! ```
//! Custom metadata need `"create"` and `"update"` on `secret/metadata/..` as well. To list what has
//! no scope, the folder itself is named too: `path "secret/metadata/nebula/credentials"`.
//!
//! # Calls to Vault
//! | operation | calls |
//! |---|---|
//! | retrieve | 1 |
//! | exists | 1; 1 more where the version has a time of deletion, since only the server's clock counts |
//! | store | 1; a look and a write on a mount with `cas_required`, again where another writer comes between |
//! | store or store_if with `custom_metadata` | 1 more |
//! | versions | 1 |
//! | store_if over a revision | 2: numbers begin anew after a deletion for good, so the version's time is compared first |
//! | store_if where nothing is | 1; 3 over a deleted name |
//! | delete | 1 |
//! | list | 1; with a filter 1 more for each name; with soft deletion 1 or 2 more for each name |
//! | list_tree | 1 for each scope at or below it; further ones as list |
//! | recover, purge | 2, 3 |
//!
//! The calls of one list run 16 at once, and share the timeout of one call: another attempt makes
//! those that had no answer in it. The first operation makes one more, to see that the mount is KV
//! version 2, and with AppRole a login.
//!
//! Between the look and the write of a `store_if`, somebody who deletes the credential for good and
//! stores it again as often as before would go unnoticed: KV compares numbers alone. With soft
//! deletion numbers never begin anew. So too between the look and the last call of a `purge`: Vault
//! destroys versions by their numbers, deleted or not, so one that somebody recovers within that
//! call is lost.
//!
//! A `store_if` whose answer was lost is looked after: its own value, found there, is a success. It
//! is a conflict only with soft deletion, and where somebody else's version stands in the place of
//! the one that it would have made; else it is in doubt.
//!
//! # The token
//! With AppRole the provider logs in at the first use, renews when a third of the lease that Vault
//! really gave is left (or [`token_renewal_threshold`](VaultConfig::token_renewal_threshold), if
//! that is less), and logs in anew when Vault no longer prolongs it. A burst makes one login,
//! whether that succeeds or not. A request keeps the token that it began with; one that Vault no
//! longer takes is exchanged within the operation. `shutdown` revokes the token; without it the
//! token lives to the end of its lease. Where it was dropped or failed, another `shutdown` goes on
//! with it. A token that was given is renewed and never revoked.
//!
//! A login that Vault refuses is not repeated for 1 s, then 10 s, 100 s and from the fourth in a
//! row on 1,000 s; meanwhile all operations fail with its reason. Vault counts such logins by the
//! role, not by who tries: after five without a pause of 15 minutes it [locks the role
//! out](https://developer.hashicorp.com/vault/docs/concepts/user-lockout) for 15 minutes, for all
//! who share it. One provider whose secret id has run out stays below that; several of them
//! together do not, so give each service a role of its own. Whoever has mended the role makes a new
//! provider, or waits. A login that fails otherwise is tried again after 0.1 s.
//!
//! A secret id with a limited number of uses is used up by logins: with one use, the provider ends
//! when its token reaches its maximum age. Response-wrapped secret ids have to be unwrapped before.
//!
//! # What is told apart
//! | seen | told as |
//! |---|---|
//! | sealed, standby without an active node, a redirect to it, a node that lags (412), an engine that is being upgraded to version 2 | `Unavailable`, and no doubt about a write |
//! | another error of the server, a connection that ends in the answer | `Unavailable`, a write is in doubt |
//! | an answer that is not Vault's, such as a page of a proxy | `Unavailable` with host and port, a write is in doubt |
//! | no connection | `Unreachable` |
//! | a certificate that is expired, for another host, or of another authority | `AuthenticationFailed`, saying which; not tried again |
//! | 429 | `Throttled`, with Vault's pause |
//! | a token that is expired or revoked | exchanged, or `AuthenticationFailed` |
//! | a missing right | `PermissionDenied` with the path, the right and Vault's reason |
//! | a wrapped answer, as of a control group | `PermissionDenied` with the path and the right; nothing was done |
//! | no engine at the mount, or one that is not KV version 2 | `InvalidRequest` with the mount |
//!
//! Redirects are never followed: they would take the token along. Vault's own words are repeated,
//! shortened and without the token, should a server echo it.
//!
//! # Limits
//! - A proxy in front of Vault must not add `X-Vault-Wrap-TTL`: a wrapped answer counts as one of a
//!   control group, so a write would be reported as not done although it was.
//! - A value has 1 MiB less 1 KiB by default, counted as Vault keeps it: its integrated storage
//!   takes 1 MiB
//!   ([`max_entry_size`](https://developer.hashicorp.com/vault/docs/configuration/storage/raft#max_entry_size))
//!   with what Vault adds, which was some 220 bytes with 1.21. Consul takes 512 KiB. Beyond 1 MiB
//!   the listener's `max_json_string_value_length` has to be raised as well. Tags have no limit of
//!   their own.
//! - A request goes on for 90 s in Vault after its client has gone
//!   ([`default_max_request_duration`](https://developer.hashicorp.com/vault/docs/configuration#default_max_request_duration)):
//!   so long a write in doubt may still land.
//! - Consistent at once on one cluster. Performance standbys and replicas of Vault Enterprise
//!   answer reads from what they have: give the address of the active node where a read must see
//!   the last write.
//! - Proxies of the environment are not used. [`HashiCorpVaultProvider::with_client`] takes a
//!   client that does.
//!
//! # Why not all of `vaultrs`
//! Requests are those of `vaultrs`; answers are read here. Its own calls (0.8) lose the headers,
//! `Retry-After` among them; its errors hide the text of answers that have another form, such as
//! that of a deleted version; its client cannot change the token while requests run, merges a given
//! authority with those of the system, and follows redirects; and it writes an event at ERROR for
//! each credential that is not there.

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
