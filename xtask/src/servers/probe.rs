//! Asking a server whether it answers.
//!
//! By curl: a TLS client of our own would be most of what this program compiles.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Environment;
use super::catalog::Server;

/// A request that a healthy server answers with success.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) url: String,
    /// The file of the only certificates to trust.
    pub(super) ca: Option<String>,
    pub(super) header: Option<String>,
}

impl Probe {
    pub(super) fn of(url: String) -> Self {
        Self { url, ca: None, header: None }
    }

    /// `path` at the address that the variable holds.
    pub(super) fn below(environment: &Environment, variable: &str, path: &str) -> Self {
        let address = value(environment, variable).unwrap_or_default();
        Self::of(format!("{}{path}", address.trim_end_matches('/')))
    }

    /// Only certificates from the file that the variable holds.
    pub(super) fn trusting(self, environment: &Environment, variable: &str) -> Self {
        Self { ca: value(environment, variable).map(str::to_owned), ..self }
    }

    /// The answer's body; `None` where there is no good answer now.
    pub(super) fn answer(&self) -> Result<Option<String>> {
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "--max-time", "5", "--noproxy", "*"]);
        for (option, value) in [("--cacert", &self.ca), ("--header", &self.header)] {
            if let Some(value) = value {
                command.args([option, value]);
            }
        }
        let output = command.arg(&self.url).output();
        let output =
            output.context("cannot start `curl`, which asks the servers for their health; install it")?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    }
}

/// The version of a server that was given; an error where it does not answer.
pub(super) fn given(server: &Server, environment: &Environment) -> Result<String> {
    let Some(probe) = server.given.map(|probe| probe(environment)) else { return Ok(UNKNOWN.to_owned()) };
    match probe.answer()? {
        Some(body) => Ok(version(&body).unwrap_or(UNKNOWN).to_owned()),
        None => bail!(
            "{}, given by {}, does not answer at {}; correct the variable, or unset it to have one started",
            server.name,
            server.variables.join(" and "),
            probe.url
        ),
    }
}

fn value<'a>(environment: &'a Environment, variable: &str) -> Option<&'a str> {
    environment.iter().find(|(name, _)| name == variable).map(|(_, value)| value.as_str())
}

pub(super) const UNKNOWN: &str = "(unknown version)";

/// What stands behind `"version":` in an answer in JSON.
fn version(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("\"version\"")?;
    let (_, rest) = rest.trim_start().strip_prefix(':')?.split_once('"')?;
    let (version, _) = rest.split_once('"')?;
    (!version.is_empty()).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_that_a_server_tells() {
        assert_eq!(version(r#"{"sealed":false,"version":"1.21.0","x":1}"#), Some("1.21.0"));
        assert_eq!(version(r#"{"version" : "2.5.0"}"#), Some("2.5.0"));
        for body in ["", "{}", r#"{"version""#, r#"{"version":""}"#, r#"{"version":1}"#] {
            assert_eq!(version(body), None, "{body}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_does_not_answer() {
        let closed = super::super::process::free_port().unwrap();
        assert_eq!(Probe::of(format!("http://127.0.0.1:{closed}/")).answer().unwrap(), None);
    }
}
