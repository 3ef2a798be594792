//! A double of Azure Key Vault, of this workspace, and Microsoft's own client as its referee.

use anyhow::Result;

use super::Environment;
use super::probe::Probe;
use super::process::{Plan, Setup, free_port, token};
use crate::workspace;

const URL: &str = "CRED_TEST_AZURE_VAULT_URL";
const CA: &str = "CRED_TEST_AZURE_CA";
const REFEREE: &str = "CRED_TEST_KEYVAULT_REFEREE_ADDR";

/// Deletions and recoveries take seconds, as they do at Azure.
const TAKES: [&str; 6] = ["--deletion-ms", "2000", "--recovery-ms", "2000", "--purge-ms", "1000"];

pub(super) fn plan(setup: &Setup<'_>) -> Result<Plan> {
    let (port, secret) = (free_port()?, token()?);
    let (tenant, client) = ("11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000");
    let address = format!("https://127.0.0.1:{port}");
    let ca = setup.folder.join("authority.pem").to_string_lossy().into_owned();
    let environment = [
        (URL, address.as_str()),
        ("CRED_TEST_AZURE_TENANT_ID", tenant),
        ("CRED_TEST_AZURE_CLIENT_ID", client),
        ("CRED_TEST_AZURE_CLIENT_SECRET", &secret),
        ("CRED_TEST_AZURE_AUTHORITY", &address),
        (CA, &ca),
    ];
    let environment: Environment =
        environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut args: Vec<String> = TAKES.map(str::to_owned).into();
    let port = port.to_string();
    args.extend(
        ["--port", &port, "--ca-file", &ca, "--tenant-id", tenant, "--client-id", client].map(str::to_owned),
    );
    Ok(Plan {
        args,
        // Since everybody on the machine can read an argument.
        variables: vec![("KEYVAULT_DOUBLE_CLIENT_SECRET".to_owned(), secret)],
        ready: Probe::below(&environment, URL, "/double/health").trusting(&environment, CA),
        environment,
    })
}

pub(super) fn plan_referee(setup: &Setup<'_>) -> Result<Plan> {
    let port = free_port()?.to_string();
    let environment = vec![(REFEREE.to_owned(), format!("http://127.0.0.1:{port}"))];
    let mut variables = setup.environment.clone();
    let module = workspace::root().join("servers/keyvault-referee");
    variables.push(("PYTHONPATH".to_owned(), module.to_string_lossy().into_owned()));
    // Nothing is written beside the sources.
    variables.push(("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()));
    Ok(Plan { args: vec![port], variables, ready: probe_referee(&environment), environment })
}

pub(super) fn probe_referee(environment: &Environment) -> Probe {
    Probe::below(environment, REFEREE, "/health")
}
