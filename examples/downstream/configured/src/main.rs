//! Stores a sealed credential in the backend that a `cred.toml` names. Usage: `configured FILE`.

use std::error::Error;

use cred_core::{Credential, field};
use cred_manager::CredentialManager;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("usage: configured FILE")?;
    // It blocks, and nothing else runs yet.
    let store = cred_config::open(file, None)?;
    let manager = CredentialManager::builder().storage(store.provider).keys(store.sealer).build();

    let id = "stripe-api-key".parse()?;
    manager.store(&id, Credential::api_key("sk_live_example")).await?;
    let found = manager.retrieve(&id).await?.ok_or("the credential is missing")?;
    println!("{id}: {} characters", found.expose_text(field::VALUE)?.len());
    manager.shutdown().await?;
    Ok(())
}
