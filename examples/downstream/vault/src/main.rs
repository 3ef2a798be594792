//! Stores a sealed credential in Vault.

use std::error::Error;

use cred_core::{Credential, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::KeyRing;
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let token = variable("VAULT_TOKEN").ok_or("VAULT_TOKEN is not set")?;
    let config = VaultConfig::default()
        .with_address(variable("VAULT_ADDR").ok_or("VAULT_ADDR is not set")?)
        .with_auth_method(VaultAuthMethod::token(token.into()))
        .with_path_prefix("downstream");
    let storage = HashiCorpVaultProvider::new(config)?;
    let keys = KeyRing::from_env("main".parse()?, "CRED_KEY")?;
    let manager = CredentialManager::builder().storage(storage).keys(keys).build();

    let id = "stripe-api-key".parse()?;
    manager.store(&id, Credential::api_key("sk_live_example")).await?;
    let found = manager.retrieve(&id).await?.ok_or("the credential is missing")?;
    println!("{id}: {} characters", found.expose_text(field::VALUE)?.len());
    manager.shutdown().await?;
    Ok(())
}
