//! The tour: `cargo run -p cred-manager --example quickstart -- path/to/.env`
//!
//! Makes a key file, seals each variable of the `.env` file into a local store for a tenant, lists
//! them, reads one back and shows what lies on the disk. It prints no value, and leaves key and
//! store in a temporary folder.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;
use std::path::Path;

use cred_core::{Credential, CredentialId, field};
use cred_manager::CredentialManager;
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let env_file = std::env::args_os().nth(1).ok_or("usage: quickstart path/to/.env")?;
    let folder = tempfile::Builder::new().prefix("cred-quickstart-").tempdir()?.keep();
    let (key_file, store) = (folder.join("main.key"), folder.join("store"));

    // The store, and the key that seals it. In production, keep them in different places.
    SealingKey::create_file(&key_file)?;
    let keys = KeyRing::from_key_file("main-2026".parse()?, &key_file)?;
    let storage = LocalStorageProvider::new(LocalStorageConfig::default().with_base_path(&store))?;
    let manager = CredentialManager::builder().storage(storage).keys(keys).build();

    // A handle for one tenant: it cannot reach any other.
    let tenant = manager.scoped("org:acme/app:web".parse()?)?;
    // An error does not repeat the line, which contains a secret.
    for variable in dotenvy::from_path_iter(&env_file).map_err(|_| "the .env file cannot be opened")? {
        let (name, value) = variable.map_err(|_| "the .env file has a line that is not NAME=value")?;
        tenant.store(&name.parse()?, Credential::text(value).with_tag("source", "dotenv")?).await?;
    }

    let ids = tenant.list().await?;
    println!(
        "Stored for org:acme/app:web: {}",
        ids.iter().map(CredentialId::as_str).collect::<Vec<_>>().join(", ")
    );
    println!("\nOn the disk, sealed ({}):", store.display());
    show(&store, &store)?;

    let first = ids.first().ok_or("the .env file has no variables")?;
    let credential = tenant.retrieve(first).await?.ok_or("it was not stored")?;
    let length = credential.expose_text(field::VALUE)?.chars().count();
    println!("\nRead back and opened: {first} has {length} characters");
    manager.shutdown().await?;
    println!("\nKey and store are in {}: delete it when you are done.", folder.display());
    Ok(())
}

/// Prints every file below `folder` with the beginning of its contents.
fn show(root: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            show(root, &path)?;
        } else {
            let held = String::from_utf8_lossy(&std::fs::read(&path)?).chars().take(80).collect::<String>();
            println!("  {}: {held}...", path.strip_prefix(root)?.display());
        }
    }
    Ok(())
}
