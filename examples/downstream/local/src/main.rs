//! Stores a sealed credential in local files: `cargo run --package local -- FOLDER`.

use std::error::Error;
use std::path::PathBuf;

use cred_core::{Credential, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: local FOLDER")?);
    let key = folder.join("main.key"); // in production, keep the key apart from the data it seals
    if !key.exists() {
        std::fs::create_dir_all(&folder)?;
        SealingKey::create_file(&key)?;
    }
    let config = LocalStorageConfig::default().with_base_path(folder.join("credentials"));
    let storage = LocalStorageProvider::new(config)?;
    let keys = KeyRing::from_key_file("main".parse()?, &key)?;
    let manager = CredentialManager::builder().storage(storage).keys(keys).build();

    let id = "stripe-api-key".parse()?;
    manager.store(&id, Credential::api_key("sk_live_example")).await?;
    let found = manager.retrieve(&id).await?.ok_or("the credential is missing")?;
    println!("{id}: {} characters", found.expose_text(field::VALUE)?.len());
    manager.shutdown().await?;
    Ok(())
}
