//! A secret in Azure Key Vault, by its SDK alone.

use std::env;
use std::error::Error;

use azure_core::credentials::Secret;
use azure_identity::ClientSecretCredential;
use azure_security_keyvault_secrets::SecretClient;
use azure_security_keyvault_secrets::models::SetSecretParameters;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::new(env::var("AZURE_CLIENT_SECRET")?);
    let (tenant, client) = (env::var("AZURE_TENANT_ID")?, env::var("AZURE_CLIENT_ID")?);
    let who = ClientSecretCredential::new(&tenant, client, secret, None)?;
    let vault = SecretClient::new(&env::var("AZURE_KEYVAULT_URL")?, who, None)?;
    let value = SetSecretParameters { value: Some("sk_live_example".into()), ..Default::default() };
    vault.set_secret("bare-stripe-api-key", value.try_into()?, None).await?;
    let found = vault.get_secret("bare-stripe-api-key", None).await?.into_model()?;
    println!("stripe-api-key: {} characters", found.value.ok_or("it is gone")?.len());
    Ok(())
}
