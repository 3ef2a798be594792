//! Asking a server whether it answers.
//!
//! By curl: a TLS client of our own would be most of what this program compiles.

use std::io::Write;
use std::process::{Command, Stdio};

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
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut curl = command
            .spawn()
            .context("cannot start `curl`, which asks the servers for their health; install it")?;
        if let (Some(mut input), Some(header)) = (curl.stdin.take(), &self.header) {
            let header = header.replace('\\', r"\\").replace('"', r#"\""#);
            // Where curl has ended already, its status tells.
            let _ = input.write_all(format!("header = \"{header}\"\n").as_bytes());
        }
        let output = curl.wait_with_output()?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// The header is a secret, and arguments are for every user of the machine to see: curl reads it from its input.
    fn command(&self) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--fail", "--max-time", "5", "--noproxy", "*", "--config", "-"]);
        if let Some(ca) = &self.ca {
            command.args(["--cacert", ca]);
        }
        command.arg(&self.url);
        command
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
    use std::io::Read;
    use std::net::TcpListener;

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

    #[test]
    fn a_header_is_sent_and_is_no_argument() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let header = r#"Authorization: Bearer hunter2"\"#.to_owned();
        let probe = Probe { header: Some(header.clone()), ..Probe::of(url) };
        let arguments = format!("{:?}", probe.command());
        assert!(!arguments.contains("hunter2"), "{arguments}");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            String::from_utf8(request).unwrap()
        });
        assert_eq!(probe.answer().unwrap().as_deref(), Some("ok"));
        let request = server.join().unwrap();
        assert!(request.contains(&format!("\r\n{header}\r\n")), "{request}");
    }
}
