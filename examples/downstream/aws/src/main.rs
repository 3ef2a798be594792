//! Stores a sealed credential in AWS Secrets Manager.

use std::error::Error;

use cred_core::{Credential, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::KeyRing;
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = AwsSecretsManagerConfig::default().with_secret_prefix("downstream/");
    let storage = AwsSecretsManagerProvider::new(config)?;
    let keys = KeyRing::from_env("main".parse()?, "CRED_KEY")?;
    let manager = CredentialManager::builder().storage(storage).keys(keys).build();

    let id = "stripe-api-key".parse()?;
    manager.store(&id, Credential::api_key("sk_live_example")).await?;
    let found = manager.retrieve(&id).await?.ok_or("the credential is missing")?;
    println!("{id}: {} characters", found.expose_text(field::VALUE)?.len());
    manager.shutdown().await?;
    Ok(())
}
