//! Sealed credentials in HashiCorp Vault or OpenBao, in the KV engine version 2.

mod auth;
mod client;
mod config;
mod error;
mod provider;

pub use config::{VaultAuthMethod, VaultConfig, VaultDeleteMode};
pub use provider::HashiCorpVaultProvider;
