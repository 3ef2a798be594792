//! Asking a server whether it answers.
//!
//! By curl: a TLS client of our own would be most of what this program compiles.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Environment;

pub(super) const UNKNOWN: &str = "(unknown version)";

/// A request that a healthy server answers with success.
pub(super) struct Probe {
    /// Or `HOST:PORT` of a Redis, which answers a connection.
    pub(super) url: String,
    /// The file with the only certificates to trust.
    pub(super) ca: Option<String>,
    pub(super) bearer_token: Option<String>,
}

impl Probe {
    /// `path` at the address in the first variable, with only the certificates in the file of a
    /// variable `..._CA`.
    pub(super) fn at(environment: &Environment, path: &str) -> Self {
        let ca = environment.iter().find(|(name, _)| name.ends_with("_CA"));
        let address = environment.first().map(|(_, address)| address.trim_end_matches('/'));
        let url = address.unwrap_or_default().to_owned() + path;
        Self { url, ca: ca.map(|(_, file)| file.clone()), bearer_token: None }
    }

    /// The body of the answer; `None` where the server gives no good one now.
    pub(super) fn answer(&self) -> Result<Option<String>> {
        if !self.url.contains("://") {
            return Ok(TcpStream::connect(&self.url).ok().map(|_| String::new()));
        }
        let mut curl = self
            .curl()
            .spawn()
            .context("cannot start `curl`, which asks the servers for their health; install it")?;
        if let (Some(mut input), Some(token)) = (curl.stdin.take(), &self.bearer_token) {
            // Where curl has ended already, its status shows it.
            let _ = input.write_all(format!("header = \"Authorization: Bearer {token}\"\n").as_bytes());
        }
        let output = curl.wait_with_output()?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// It reads the token from its input: every user of the machine can read arguments.
    fn curl(&self) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--max-time", "5", "--noproxy", "*", "--config", "-", &self.url]);
        curl.args(self.ca.iter().flat_map(|ca| ["--cacert", ca]));
        curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        curl
    }
}

/// The version in an answer in JSON.
pub(super) fn version(body: &str) -> Option<&str> {
    body.split_once("\"version\":\"")?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reads_the_version_in_an_answer() {
        assert_eq!(version(r#"{"sealed":false,"version":"1.21.0","x":1}"#), Some("1.21.0"));
        assert_eq!(version("{}"), None);
    }

    #[test]
    fn a_token_is_sent_in_a_header_and_is_not_an_argument() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let probe = Probe { url, ca: None, bearer_token: Some("hunter2".to_owned()) };
        assert!(!format!("{:?}", probe.curl()).contains("hunter2"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let request: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            request
        });
        assert_eq!(probe.answer().unwrap().as_deref(), Some("ok"));
        let request = server.join().unwrap();
        assert!(request.contains(&"Authorization: Bearer hunter2".to_owned()), "{request:?}");
        assert_eq!(probe.answer().unwrap(), None, "no server listens there now");
    }
}
