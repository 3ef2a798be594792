//! Vault, or OpenBao, in its development mode: unsealed, in memory, with KV v2 at `secret/`.

use std::path::Path;

use anyhow::Result;

use super::Environment;
use super::probe::Probe;
use super::process::{Plan, Setup, free_port, token};

const ADDR: &str = "CRED_TEST_VAULT_ADDR";
const TLS_ADDR: &str = "CRED_TEST_VAULT_TLS_ADDR";
const CA: &str = "CRED_TEST_VAULT_CA";
const HEALTH: &str = "/v1/sys/health";

pub(super) fn plan(_: &Setup<'_>) -> Result<Plan> {
    let (port, token) = (free_port()?, token()?);
    let environment = vec![
        (ADDR.to_owned(), format!("http://127.0.0.1:{port}")),
        ("CRED_TEST_VAULT_TOKEN".to_owned(), token.clone()),
    ];
    Ok(Plan { args: args(port), variables: root_token(token), ready: probe(&environment), environment })
}

/// Another one, since its development mode listens with TLS or without.
pub(super) fn plan_tls(setup: &Setup<'_>) -> Result<Plan> {
    let (port, token) = (free_port()?, token()?);
    let environment = vec![
        (TLS_ADDR.to_owned(), format!("https://127.0.0.1:{port}")),
        ("CRED_TEST_VAULT_TLS_TOKEN".to_owned(), token.clone()),
        (CA.to_owned(), text(&setup.folder.join("vault-ca.pem"))),
    ];
    let mut args = args(port);
    args.extend(["-dev-tls".to_owned(), format!("-dev-tls-cert-dir={}", text(setup.folder))]);
    Ok(Plan { args, variables: root_token(token), ready: probe_tls(&environment), environment })
}

pub(super) fn probe(environment: &Environment) -> Probe {
    Probe::below(environment, ADDR, HEALTH)
}

pub(super) fn probe_tls(environment: &Environment) -> Probe {
    Probe::below(environment, TLS_ADDR, HEALTH).trusting(environment, CA)
}

fn args(port: u16) -> Vec<String> {
    let listen = format!("-dev-listen-address=127.0.0.1:{port}");
    ["server", "-dev", &listen, "-dev-no-store-token"].map(str::to_owned).into()
}

/// As a variable, since everybody on the machine can read an argument.
fn root_token(token: String) -> Environment {
    ["VAULT_DEV_ROOT_TOKEN_ID", "BAO_DEV_ROOT_TOKEN_ID"].map(|name| (name.to_owned(), token.clone())).into()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
