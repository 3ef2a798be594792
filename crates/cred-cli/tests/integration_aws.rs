//! The program on AWS Secrets Manager, or on an emulator of it.
#![cfg(all(unix, feature = "local", feature = "aws"))]
#![cfg(test)]

#[macro_use]
#[path = "cli/on_a_server.rs"]
mod on_a_server;

use cred_testing::value::{fresh, variable};

use crate::on_a_server::world::{self, World};

const SECRET_KEY: &str = "canary-5b1f-the-secret-access-key";

fn world() -> World {
    let mut world = on_a_server::world(&format!(
        "backend = \"aws\"\nregion = \"eu-central-1\"\nendpoint_url = \"{}\"\nallow_http = true\n\
         secret_prefix = \"test-{}/\"\nread_lag = \"0s\"\nlist_lag = \"0s\"\n",
        variable("CRED_TEST_AWS_ENDPOINT"),
        fresh(),
    ));
    world.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    world.set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    world
}

on_a_server!(
    #[ignore = "needs a real server: cargo xtask test-integration aws"]
    world(), replaces: "not supported by this backend", many: 100, secrets: &[SECRET_KEY]
);

#[test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
fn deleted_credentials_are_recovered_or_purged() {
    on_a_server::deleted_credentials_are_recovered_or_purged(world());
}
