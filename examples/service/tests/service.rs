//! The service as a process, over HTTP: the promises of its README.
#![cfg(test)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cred::{CredentialId, CredentialManager, ScopeId, SealingKey};

const SECRET: &str = "sk_live_canary_5f2c";
const KEY: &str = "/tenants/acme/credentials/stripe";

const CONFIG: &str = r#"
[profiles.dev]
backend = "local"
base_path = "store"

[rings.main]
active = "main"
keys.main = { file = "main.key" }
"#;

#[test]
fn a_credential_is_stored_described_used_and_deleted_over_http() {
    let folder = folder();
    let service = Service::start(folder.path());
    assert_eq!(service.status("GET", KEY, "", ""), 404);
    assert_eq!(service.status("PUT", KEY, "If-None-Match: *\r\n", SECRET), 204);
    assert_eq!(service.status("PUT", KEY, "If-None-Match: *\r\n", "sk_live_late"), 412);
    assert_eq!(service.status("POST", &format!("{KEY}/verify"), "", SECRET), 204);
    assert_eq!(service.status("POST", &format!("{KEY}/verify"), "", "sk_live_guessed"), 403);
    assert_eq!(service.status("GET", "/tenants/other/credentials/stripe", "", ""), 404);

    let shown = service.send("GET", KEY, "", "");
    assert!(shown.contains("\"characters\":19,") && shown.contains("\"version\":1}"), "{shown}");
    let etag = shown.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let seen = format!("If-Match: {etag}\r\n");
    assert_eq!(service.status("PUT", KEY, &seen, "sk_live_changed"), 204);
    assert_eq!(service.status("PUT", KEY, &seen, "sk_live_late"), 412);
    assert_eq!(service.status("POST", &format!("{KEY}/verify"), "", "sk_live_changed"), 204);

    assert_eq!(service.status("DELETE", KEY, "", ""), 204);
    assert_eq!(service.status("POST", &format!("{KEY}/verify"), "", "sk_live_changed"), 404);
    assert_eq!(service.status("PUT", KEY, &seen, SECRET), 412);

    assert_eq!(service.status("GET", "/readyz", "", ""), 204);
    let metrics = service.send("GET", "/metrics", "", "");
    let stores =
        "cred_operations_total{operation=\"store_if\",outcome=\"ok\",provider=\"local\",error=\"none\"} 2";
    assert!(metrics.contains(stores), "{metrics}");
    service.stop();
}

#[test]
fn a_tenant_reaches_no_other_tenant_whatever_its_name() {
    let folder = folder();
    // Of a scope inside acme, and of no tenant: what hostile names would reach if they were joined
    // to paths.
    let inside = ["org=acme/team=x/stripe.enc.json", "stripe.enc.json"]
        .map(|file| folder.path().join("store").join(file));
    let id = CredentialId::from_static("stripe");
    with_manager(folder.path(), async |manager| {
        let secret = || cred::Credential::api_key(SECRET);
        manager.store(&id, secret()).await.unwrap();
        let team = ScopeId::from_static("org:acme/team:x");
        manager.scoped(team).unwrap().store(&id, secret()).await.unwrap();
    });
    let before = inside.each_ref().map(|file| fs::read(file).unwrap());

    let service = Service::start(folder.path());
    for tenant in ["acme%2Fteam:x", "acme%2fteam%3Ax", "..", "%2e%2e", "%2E", "acme%00", "%20"] {
        let path = format!("/tenants/{tenant}/credentials/stripe");
        for (method, path) in
            [("GET", &path), ("PUT", &path), ("DELETE", &path), ("POST", &format!("{path}/verify"))]
        {
            assert_eq!(service.status(method, path, "", SECRET), 400, "{method} {path}");
        }
    }
    assert_eq!(service.status("PUT", "/tenants/acme/credentials/%2e%2e%2fstripe", "", SECRET), 400);
    service.stop();
    assert_eq!(inside.each_ref().map(|file| fs::read(file).unwrap()), before);
    let [mut files, mut folders] = [Vec::new(), vec![folder.path().join("store")]];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    files.retain(|file: &PathBuf| file.extension().is_some());
    files.sort();
    assert_eq!(files, inside);
}

#[test]
fn a_request_that_began_before_the_stop_is_answered_and_stored() {
    let folder = folder();
    let mut service = Service::start(folder.path());
    let mut request = service.begin("PUT", KEY, "Expect: 100-continue\r\n", SECRET);
    // It asks for the body, so the handler runs.
    let mut continues = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    request.read_exact(&mut continues).unwrap();
    assert!(continues.starts_with(b"HTTP/1.1 100 "));
    service.terminate();
    service.wait_for("stopping");
    request.write_all(SECRET.as_bytes()).unwrap();
    let mut response = String::new();
    request.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
    service.end();
    with_manager(folder.path(), async |manager| {
        let acme = manager.scoped(ScopeId::from_static("org:acme")).unwrap();
        let stored = acme.retrieve(&CredentialId::from_static("stripe")).await.unwrap();
        assert_eq!(stored.unwrap().expose_secret().unwrap(), SECRET);
    });
}

#[test]
fn a_due_credential_is_rotated_and_keeps_its_policy() {
    let folder = folder();
    let service = Service::start(folder.path());
    assert_eq!(service.status("PUT", &format!("{KEY}?rotation=every:1ms"), "", SECRET), 204);
    service.stop();
    let mut service = Service::start(folder.path());
    service.wait_for("rotated");
    assert_eq!(service.status("POST", &format!("{KEY}/verify"), "", SECRET), 403);
    let shown = service.send("GET", KEY, "", "");
    assert!(shown.contains("\"version\":2}") && shown.contains("\"rotation\":\"every:1ms\""), "{shown}");
    service.stop();
}

/// A folder with a `cred.toml` and its key.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    SealingKey::create_file(folder.path().join("main.key")).unwrap();
    fs::write(folder.path().join("cred.toml"), CONFIG).unwrap();
    folder
}

/// Uses the store as the service does, from another process.
fn with_manager(folder: &Path, work: impl AsyncFnOnce(&CredentialManager)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let manager = cred::open(folder.join("cred.toml")).await.unwrap();
        work(&manager).await;
        manager.shutdown().await.unwrap();
    });
}

/// A running service. Whatever it answers and logs, at every level, is searched for secrets.
struct Service {
    process: Child,
    address: String,
    log: mpsc::Receiver<String>,
    reader: Option<JoinHandle<()>>,
}

impl Service {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_service"));
        command.arg(folder.join("cred.toml")).env("LISTEN", "127.0.0.1:0").env("RUST_LOG", "trace");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (lines, log) = mpsc::channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let reader =
            thread::spawn(move || stdout.lines().for_each(|line| lines.send(line.unwrap()).unwrap()));
        let mut service = Self { process, address: String::new(), log, reader: Some(reader) };
        let listening = service.wait_for("listening address=");
        service.address = listening.rsplit_once('=').unwrap().1.to_owned();
        service
    }

    /// Reads the log up to a line with this text, which it returns.
    fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|error| panic!("the service did not log `{text}`: {error}"));
            assert_no_secret(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends the head of a request unchanged: an HTTP client would resolve `..` itself.
    fn begin(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: service\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        connection.write_all(format!("{head}{headers}\r\n").as_bytes()).unwrap();
        connection
    }

    /// Returns the whole response.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let mut connection = self.begin(method, path, headers, body);
        connection.write_all(body.as_bytes()).unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).unwrap();
        assert_no_secret(&response);
        response
    }

    fn status(&self, method: &str, path: &str, headers: &str, body: &str) -> u16 {
        let response = self.send(method, path, headers, body);
        response.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn stop(self) {
        self.terminate();
        self.end();
    }

    /// Asks it to stop, as an orchestrator does.
    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits until it has stopped, without a failure.
    fn end(mut self) {
        assert!(self.process.wait().unwrap().success());
        self.reader.take().unwrap().join().unwrap();
        let log: Vec<String> = self.log.try_iter().inspect(|line| assert_no_secret(line)).collect();
        assert!(log.last().unwrap().ends_with("stopped"), "{log:?}");
    }
}

impl Drop for Service {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn assert_no_secret(text: &str) {
    assert!(!text.contains("canary") && !text.contains("sk_live"), "{text}");
}
