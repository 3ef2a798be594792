//! A read from Vault compared with the bare call of `vaultrs`, against a server in this process:
//! `cargo bench -p cred-benches --bench vault --features vault`.
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use cred_benches::loopback::{Server, beside, envelope_in_json, runtime};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

fn main() {
    let server = Server::start("GET / HTTP/1.1\r\n\r\n", "application/json", &answer());
    let address = format!("http://{}", server.address);
    let (ours, bare) = (provider(&address), bare(&address));
    let read = async || drop(black_box(read(&bare).await));
    beside("provider get / vaultrs kv2::read, loopback", &runtime(), &ours, read);
}

fn provider(address: &str) -> HashiCorpVaultProvider {
    let config =
        VaultConfig::default().with_address(address).with_auth_method(VaultAuthMethod::token("token".into()));
    HashiCorpVaultProvider::new(config).unwrap()
}

fn bare(address: &str) -> VaultClient {
    let settings = VaultClientSettingsBuilder::default()
        .address(address)
        .token("token")
        .verify(true)
        .timeout(Some(Duration::from_secs(5)))
        .build();
    VaultClient::new(settings.unwrap()).unwrap()
}

async fn read(client: &VaultClient) -> HashMap<String, String> {
    vaultrs::kv2::read(client, "secret", "nebula/credentials/key").await.unwrap()
}

/// Vault's answer to a read.
fn answer() -> String {
    let envelope = envelope_in_json();
    format!(
        r#"{{"request_id":"1e2d3c4b-0000-0000-0000-000000000000","lease_id":"","renewable":false,"lease_duration":0,"data":{{"data":{{"envelope":"{envelope}"}},"metadata":{{"created_time":"2026-01-01T00:00:00.123456789Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}}"#
    )
}
