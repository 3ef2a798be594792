//! A test double of Azure Key Vault's secrets and of the token endpoint in front of it. It is a
//! double, for tests alone.
//!
//! A real https server on loopback: an authority and a certificate are made at its start, tokens
//! are signed and checked, soft deletion takes its time. `cargo xtask test-integration azure`
//! starts it; alone it is started by `cargo run -p cred-keyvault-double`, or in a test of this
//! workspace:
//!
//! ```
//! # async fn start() -> std::io::Result<()> {
//! let double = cred_keyvault_double::Double::start(Default::default()).await?;
//! assert!(double.url().starts_with("https://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does as Azure does
//! | what | source |
//! |---|---|
//! | the challenge of a request without a token, with `authorization` and `resource` | [authentication](https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses) |
//! | tokens by client credentials; errors with AADSTS codes, in messages with `\r\n` | [client credentials](https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow) |
//! | tokens of the machine at `/msi/token`, for `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` | [App Service](https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference) |
//! | audience, expiry and signature of a token are checked; `AKV10022` for a wrong audience | as above |
//! | set, get, versions, update, delete, recover, purge, the lists of 25 with `nextLink` | [secrets](https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups) |
//! | names of 1 to 127 of `0-9a-zA-Z-`, without case; 25 KB; 15 tags | [secrets](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets) |
//! | 409 with `ObjectIsBeingDeleted`, `ObjectIsDeletedButRecoverable`, `ObjectIsBeingRecovered`; the last one also after reads have found the secret again | [soft deletion](https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview), Azure/azure-sdk-for-net#31581 |
//! | 409 for some time after a purge although nothing is found | as above |
//! | purge protection forbids purging, with 403 | Azure/sap-automation#200 has the text |
//! | a disabled secret is 403 `SecretDisabled`; one that is expired or not yet valid can be read | [secrets](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets) |
//!
//! # Where it differs
//! - Tokens are signed with a shared key (HS256) and checked by who signed them; Entra's are RS256.
//!   Clients do not look inside.
//! - One tenant, one client, which may do everything: no access policies, roles or firewalls. A
//!   managed identity is that client as well, and its endpoint the one of App Service alone, by
//!   https.
//! - Tags of more than 256 characters are refused. Older documents of Azure say 256, newer ones
//!   512.
//! - Lists are by name. Azure promises no order.
//! - No backup and restore, no keys and certificates, no rotation. Deleted secrets are never purged
//!   by themselves.
//! - It never throttles by itself: Azure does beyond [4,000 requests in 10
//!   s](https://learn.microsoft.com/azure/key-vault/general/service-limits).
//! - Paths that begin with `/double/` are its own: see [`Double`].

mod certificate;
mod clock;
mod control;
mod refusal;
mod routes;
mod server;
mod settings;
mod store;
mod tokens;

pub use control::Counts;
pub use server::Double;
pub use settings::{Certificate, Settings};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
