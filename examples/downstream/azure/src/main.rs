//! Stores a sealed credential in Azure Key Vault.

use std::error::Error;

use cred_core::{Credential, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::KeyRing;
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let needed = |name: &str| variable(name).ok_or(format!("{name} is not set"));
    let who = AzureCredentialType::service_principal(
        needed("AZURE_TENANT_ID")?,
        needed("AZURE_CLIENT_ID")?,
        needed("AZURE_CLIENT_SECRET")?.into(),
    );
    let config = AzureKeyVaultConfig::default()
        .with_vault_url(needed("AZURE_KEYVAULT_URL")?)
        .with_credential_type(who)
        .with_secret_prefix("downstream-");
    let storage = AzureKeyVaultProvider::new(config)?;
    let keys = KeyRing::from_env("main".parse()?, "CRED_KEY")?;
    let manager = CredentialManager::builder().storage(storage).keys(keys).build();

    let id = "stripe-api-key".parse()?;
    manager.store(&id, Credential::api_key("sk_live_example")).await?;
    let found = manager.retrieve(&id).await?.ok_or("the credential is missing")?;
    println!("{id}: {} characters", found.expose_text(field::VALUE)?.len());
    manager.shutdown().await?;
    Ok(())
}
