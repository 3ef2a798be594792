//! A secret in Vault, by `vaultrs` alone.

use std::collections::HashMap;
use std::error::Error;

use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::kv2;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Address and token come from VAULT_ADDR and VAULT_TOKEN.
    let client = VaultClient::new(VaultClientSettingsBuilder::default().build()?)?;
    let secret = HashMap::from([("value", "sk_live_example")]);
    kv2::set(&client, "secret", "bare/stripe-api-key", &secret).await?;
    let found: HashMap<String, String> = kv2::read(&client, "secret", "bare/stripe-api-key").await?;
    println!("stripe-api-key: {} characters", found.get("value").ok_or("it is gone")?.len());
    Ok(())
}
