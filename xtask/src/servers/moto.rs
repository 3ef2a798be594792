//! moto: a double of AWS; where it differs from AWS, tests with scripted answers stand beside it.

use anyhow::Result;

use super::probe::Probe;
use super::process::{Plan, Setup, free_port};

const ENDPOINT: &str = "CRED_TEST_AWS_ENDPOINT";

pub(super) fn plan(_: &Setup<'_>) -> Result<Plan> {
    let port = free_port()?.to_string();
    let environment = vec![(ENDPOINT.to_owned(), format!("http://127.0.0.1:{port}"))];
    Ok(Plan {
        args: ["-H", "127.0.0.1", "-p", &port].map(str::to_owned).into(),
        variables: Vec::new(),
        ready: Probe::below(&environment, ENDPOINT, "/moto-api/"),
        environment,
    })
}
