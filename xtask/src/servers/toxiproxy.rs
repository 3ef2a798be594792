//! toxiproxy: tests make proxies to a server by its API, and faults in them.

use anyhow::Result;

use super::Environment;
use super::probe::Probe;
use super::process::{Plan, Setup, free_port};

const ADDR: &str = "CRED_TEST_TOXIPROXY_ADDR";

pub(super) fn plan(_: &Setup<'_>) -> Result<Plan> {
    let port = free_port()?.to_string();
    let environment = vec![(ADDR.to_owned(), format!("http://127.0.0.1:{port}"))];
    Ok(Plan {
        args: ["-host", "127.0.0.1", "-port", &port].map(str::to_owned).into(),
        variables: Vec::new(),
        ready: probe(&environment),
        environment,
    })
}

pub(super) fn probe(environment: &Environment) -> Probe {
    Probe::below(environment, ADDR, "/version")
}
