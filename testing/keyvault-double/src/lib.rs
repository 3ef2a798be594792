//! A test double of the secrets of Azure Key Vault and of the token endpoint. It is only for tests.
//!
//! The double is a real https server on loopback. It creates an authority and a certificate at
//! startup, signs and checks tokens, and simulates the duration of soft deletion.
//! `cargo xtask test-integration azure` starts it. To start it alone, use
//! `cargo run -p cred-keyvault-double`. In a test of this workspace:
//!
//! ```
//! # async fn start() -> std::io::Result<()> {
//! let double = cred_keyvault_double::Double::start(Default::default()).await?;
//! assert!(double.url().starts_with("https://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```
//!
//! # Behavior shared with Azure
//! | behavior | source |
//! |---|---|
//! | the challenge for a request without a token, with `authorization` and `resource` | [authentication](https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses) |
//! | tokens for client credentials; errors with AADSTS codes, in messages with `\r\n` | [client credentials](https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow) |
//! | tokens for a managed identity at `/msi/token`, with `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` | [App Service](https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference) |
//! | audience, expiry and signature of a token are checked; `AKV10022` for a wrong audience | as above |
//! | set, get, versions, update, delete, recover, purge, lists with pages of 25 and `nextLink` | [secrets](https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups) |
//! | names of 1 to 127 of `0-9a-zA-Z-`, compared without case; 25 KB; 15 tags | [secrets](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets) |
//! | 409 with `ObjectIsBeingDeleted`, `ObjectIsDeletedButRecoverable`, `ObjectIsBeingRecovered`; the last one also after reads find the secret again | [soft deletion](https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview), Azure/azure-sdk-for-net#31581 |
//! | 409 for some time after a purge, although the secret is not found | as above |
//! | purge protection refuses purges with 403 | Azure/sap-automation#200 has the message |
//! | reading a disabled secret is 403 `SecretDisabled`; a secret that has expired or is not yet valid can be read | [secrets](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets) |
//!
//! # Differences from Azure
//! - The double signs tokens with its own symmetric key (HS256) and checks them itself; the tokens
//!   of Entra use RS256. Clients do not look inside.
//! - There is one tenant and one client, which has all rights: no access policies, roles or
//!   firewalls. A managed identity is the same client. Only the endpoint of App Service supplies
//!   its tokens, over https.
//! - Tags of more than 256 characters are refused. The limit is 256 in older documents of Azure,
//!   and 512 in newer ones.
//! - Lists are sorted by name. Azure promises no order.
//! - Backup and restore, keys, certificates and rotation are not supported. Deleted secrets are
//!   never purged automatically.
//! - It throttles only if a test requests it. Azure throttles beyond [4,000 requests in 10
//!   s](https://learn.microsoft.com/azure/key-vault/general/service-limits).
//! - Paths that begin with `/double/` control the double: see [`Double`].

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
