//! Asking a server whether it answers.
//!
//! By curl: a TLS client of our own would be most of what this program compiles.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

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
    /// Of a Redis, which speaks no HTTP; `url` is its address then.
    pub(super) redis_password: Option<String>,
}

impl Probe {
    pub(super) fn of(url: String) -> Self {
        Self { url, ca: None, header: None, redis_password: None }
    }

    /// `path` at the address that the variable holds.
    pub(super) fn below(environment: &Environment, variable: &str, path: &str) -> Self {
        let address = value(environment, variable).unwrap_or_default();
        Self::of(format!("{}{path}", address.trim_end_matches('/')))
    }

    /// A Redis at the address that one variable holds, with the password of the other.
    pub(super) fn redis(environment: &Environment, address: &str, password: &str) -> Self {
        let [address, password] =
            [address, password].map(|name| value(environment, name).unwrap_or_default().to_owned());
        Self { redis_password: Some(password), ..Self::of(address) }
    }

    /// Only certificates from the file that the variable holds.
    pub(super) fn trusting(self, environment: &Environment, variable: &str) -> Self {
        Self { ca: value(environment, variable).map(str::to_owned), ..self }
    }

    /// The answer's body; `None` where there is no good answer now.
    pub(super) fn answer(&self) -> Result<Option<String>> {
        if let Some(password) = &self.redis_password {
            return Ok(pong(&self.url, password).ok());
        }
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

/// Logs in and has a Redis tell of itself: `redis_version:7.0.15` among other things.
fn pong(address: &str, password: &str) -> io::Result<String> {
    let patience = Some(Duration::from_secs(5));
    let mut server = TcpStream::connect(address)?;
    server.set_read_timeout(patience)?;
    server.set_write_timeout(patience)?;
    server.write_all(format!("AUTH {password}\r\nINFO server\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    server.take(64 * 1_024).read_to_string(&mut answer)?;
    match answer.contains("redis_version:") {
        true => Ok(answer),
        false => Err(io::ErrorKind::InvalidData.into()), // it loads, or the password is another
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

/// What stands behind `"version":` in an answer in JSON, or behind `redis_version:`.
fn version(body: &str) -> Option<&str> {
    if let Some((_, rest)) = body.split_once("redis_version:") {
        return rest.split_whitespace().next();
    }
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
        assert_eq!(version("# Server\r\nredis_version:7.0.15\r\nx:1\r\n"), Some("7.0.15"));
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
