//! The program on a real kube-apiserver.
#![cfg(all(unix, feature = "local", feature = "k8s"))]
#![cfg(test)]

#[macro_use]
#[path = "cli/on_a_server.rs"]
mod on_a_server;

use cred_testing::value::{fresh, variable};

use crate::on_a_server::world::{self, World};

/// Uses the default namespace, with a unique prefix.
fn world() -> World {
    on_a_server::world(&format!(
        "backend = \"k8s\"\nkubeconfig_path = \"{}\"\nsecret_prefix = \"test-{}-\"\n",
        variable("CRED_TEST_K8S_KUBECONFIG"),
        fresh(),
    ))
}

/// The token of the kubeconfig.
fn token() -> String {
    let config = std::fs::read_to_string(variable("CRED_TEST_K8S_KUBECONFIG")).unwrap();
    let (_, after) = config.split_once("token").unwrap();
    after
        .split(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
        .find(|word| word.len() > 8)
        .unwrap()
        .to_owned()
}

on_a_server!(
    #[ignore = "needs a real server: cargo xtask test-integration k8s"]
    world(), replaces: "allowed", many: 100, secrets: &[&token()]
);
