//! Redis, in memory alone, with a password.

use anyhow::Result;

use super::Environment;
use super::probe::Probe;
use super::process::{self, Plan, Setup, free_port, token};

const ADDR: &str = "CRED_TEST_REDIS_ADDR";
const PASSWORD: &str = "CRED_TEST_REDIS_PASSWORD";

pub(super) fn plan(setup: &Setup<'_>) -> Result<Plan> {
    let (port, password) = (free_port()?, token()?);
    // In a file, since everybody on the machine can read an argument.
    let settings = format!("bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\n");
    process::write(&setup.folder.join("redis.conf"), &settings)?;
    let environment = vec![(ADDR.to_owned(), format!("127.0.0.1:{port}")), (PASSWORD.to_owned(), password)];
    Ok(Plan {
        args: vec!["redis.conf".to_owned()],
        variables: Vec::new(),
        ready: probe(&environment),
        environment,
    })
}

pub(super) fn probe(environment: &Environment) -> Probe {
    Probe::redis(environment, ADDR, PASSWORD)
}
