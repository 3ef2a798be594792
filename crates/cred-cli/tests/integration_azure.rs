//! The program on Azure Key Vault, or on an emulator of it.
#![cfg(all(unix, feature = "local", feature = "azure"))]
#![cfg(test)]

#[macro_use]
#[path = "cli/on_a_server.rs"]
mod on_a_server;

use cred_testing::value::{fresh, variable};

use crate::on_a_server::world::{self, World};

fn world() -> World {
    let url = variable("CRED_TEST_AZURE_VAULT_URL");
    let host = url.trim_start_matches("https://").split([':', '/']).next().unwrap_or_default().to_owned();
    let emulator =
        if host.ends_with(".vault.azure.net") { "" } else { &format!("allowed_host = \"{host}\"\n") };
    let mut world = on_a_server::world(&format!(
        "backend = \"azure\"\nvault_url = \"{url}\"\n{emulator}authority_host = \"{}\"\nca_cert = \"{}\"\n\
         secret_prefix = \"test-{}-\"\n\n[profiles.server.credential_type.service_principal]\n\
         tenant_id = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ env = \"AZURE_SECRET\" }}\n",
        variable("CRED_TEST_AZURE_AUTHORITY"),
        variable("CRED_TEST_AZURE_CA"),
        fresh(),
        variable("CRED_TEST_AZURE_TENANT_ID"),
        variable("CRED_TEST_AZURE_CLIENT_ID"),
    ));
    world.set("AZURE_SECRET", &variable("CRED_TEST_AZURE_CLIENT_SECRET"));
    world
}

on_a_server!(
    #[ignore = "needs a real server: cargo xtask test-integration azure"]
    world(), replaces: "not supported by this backend", many: 100, secrets: &[&variable("CRED_TEST_AZURE_CLIENT_SECRET")]
);
