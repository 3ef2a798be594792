//! A backend that answers what the fuzzer says, and what a provider must make of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialFilter, CredentialId, CredentialPath, RetryPolicy, StorageError,
    StorageProvider, Stored,
};
use cred_provider_kit::CredentialFile;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::{known, silent};

/// Answers of which each begins with a line that may be its status; a line `---` ends one. To each operation they are given from
/// the first on, and then there are no more: 503.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: Vec<(u16, Vec<u8>)>,
    next: usize,
    /// Whether something was answered well that may have written.
    wrote: bool,
}

const STATUSES: [u16; 14] = [200, 201, 204, 307, 400, 401, 403, 404, 405, 409, 410, 412, 429, 500];

impl Script {
    /// Reads the answers.
    pub fn set(&self, input: &[u8]) {
        let mut state = self.state();
        *state = State::default();
        let mut rest = Some(input);
        while let Some(text) = rest {
            let end = text.windows(5).position(|window| window == b"\n---\n");
            let answer = end.map_or(text, |end| &text[..end]);
            rest = end.map(|end| &text[end + 5..]);
            let line = answer.iter().position(|byte| *byte == b'\n').map(|end| answer.split_at(end));
            let status = line.and_then(|(line, _)| std::str::from_utf8(line).ok()?.parse().ok());
            state.answers.push(match (status.filter(|status| STATUSES.contains(status)), line) {
                (Some(status), Some((_, body))) => (status, body[1..].to_vec()),
                _ => (200, answer.to_vec()),
            });
        }
    }

    /// The next answer of this operation, to a request of this method.
    pub fn answer(&self, method: &str) -> (u16, Vec<u8>) {
        let mut state = self.state();
        state.next += 1;
        let at = state.next - 1;
        let answer = state.answers.get(at).cloned().unwrap_or((503, Vec::new()));
        state.wrote |= answer.0 < 300 && !matches!(method, "GET" | "LIST" | "HEAD");
        answer
    }

    fn rewind(&self) {
        let mut state = self.state();
        (state.next, state.wrote) = (0, false);
    }

    fn wrote(&self) -> bool {
        self.state().wrote
    }

    fn answers(&self) -> Vec<(u16, Vec<u8>)> {
        self.state().answers.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A provider and the backend that it asks.
pub struct Backend {
    runtime: Runtime,
    script: Script,
    provider: Box<dyn StorageProvider>,
    /// What is never repeated, whoever says it.
    token: &'static str,
    /// Whether a name that is listed belongs to a path.
    named: fn(&CredentialPath, &str) -> bool,
}

impl Backend {
    /// With what the provider asks over HTTP, at the address that it is given. Requests for a path that has `beside` in it are
    /// no operation's, and have this answer.
    ///
    /// # Panics
    /// If there is no port for it.
    pub fn served(
        token: &'static str,
        named: fn(&CredentialPath, &str) -> bool,
        beside: &'static [(&'static str, &'static str)],
        provider: impl FnOnce(SocketAddr) -> Box<dyn StorageProvider>,
    ) -> Self {
        let script = Script::default();
        let runtime = runtime();
        let address = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(serve(listener, script.clone(), beside));
            address
        });
        let guard = runtime.enter();
        let provider = provider(address);
        drop(guard);
        Self { runtime, script, provider, token, named }
    }

    /// With what the provider asks in this process.
    pub fn within(
        token: &'static str,
        named: fn(&CredentialPath, &str) -> bool,
        provider: impl FnOnce(Script) -> Box<dyn StorageProvider>,
    ) -> Self {
        let script = Script::default();
        let runtime = runtime();
        let guard = runtime.enter();
        let provider = provider(script.clone());
        drop(guard);
        Self { runtime, script, provider, token, named }
    }

    /// Runs every operation over these answers.
    ///
    /// # Panics
    /// If the provider breaks a law.
    pub fn judge(&self, input: &[u8]) {
        self.script.set(input);
        self.runtime.block_on(async {
            self.reads().await;
            self.lists().await;
            self.writes().await;
        });
    }

    async fn reads(&self) {
        let (id, here) = (id(), CredentialContext::unscoped());
        self.script.rewind();
        let plain = self.provider.retrieve(&id, &here).await;
        if let Some(stored) = self.told(plain) {
            self.canonical(stored);
        }
        if let Some(conditional) = self.provider.compare_and_set() {
            self.script.rewind();
            if let Some((stored, _)) =
                self.told(conditional.retrieve_with_revision(&id, &here).await.map(split))
            {
                self.canonical(stored);
            }
        }
        self.script.rewind();
        self.told(self.provider.exists(&id, &here).await);
    }

    async fn lists(&self) {
        let root = CredentialContext::unscoped();
        let filter = CredentialFilter::new().with_tag("env", "prod");
        for filter in [None, Some(&filter)] {
            self.script.rewind();
            // Names are no secrets, and may be told.
            let Some(mut found) = self.hidden(self.provider.list_tree(filter, &root).await) else { continue };
            let texts = self.texts();
            for path in &found {
                assert!(texts.iter().any(|text| (self.named)(path, text)), "{path} is in no answer");
            }
            let count = found.len();
            found.sort_unstable();
            found.dedup();
            assert_eq!(found.len(), count, "a path is listed twice");
        }
    }

    async fn writes(&self) {
        let (id, here) = (id(), CredentialContext::unscoped());
        let known = &known()[0];
        self.script.rewind();
        let stored = self.provider.store(&id, known.data.clone(), known.metadata.clone(), &here).await;
        if let Err(error) = &stored {
            // Whatever the backend says of a write that it was sent, only a refusal proves that it did nothing. A provider that looked
            // first, and found what is not its own, sent none.
            let refused = self.script.answers().iter().any(|(status, _)| *status >= 300);
            assert!(refused || !self.script.wrote() || error.may_have_written(), "{error:?}");
        }
        self.hidden(stored);
        self.script.rewind();
        self.hidden(self.provider.delete(&id, &here).await);
    }

    /// What is read can be written again, in the same bytes.
    fn canonical(&self, (data, metadata): Stored) {
        let bytes = CredentialFile::new(data.clone(), metadata.clone()).encode().expect("what was decoded");
        assert_eq!(CredentialFile::decode(&bytes).expect("what was encoded").into_stored(), (data, metadata));
        let sent: usize = self.script.answers().iter().map(|(_, body)| body.len()).sum();
        // The path of a hashed name is left out, and everything else was sent.
        assert!(bytes.len() <= sent, "more is read than was sent");
    }

    /// Where all is well with a request, what it brings is contents, and not told.
    fn told<T>(&self, answer: Result<T, StorageError>) -> Option<T> {
        if let (Err(error), true) = (&answer, self.script.answers().iter().all(|(status, _)| *status < 300)) {
            silent(error);
        }
        self.hidden(answer)
    }

    fn hidden<T>(&self, answer: Result<T, StorageError>) -> Option<T> {
        answer
            .map_err(|error| assert!(!full(&error).contains(self.token), "the token is repeated: {error:?}"))
            .ok()
    }

    /// All strings of all answers.
    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for (_, body) in self.script.answers() {
            // What is read over need not be text.
            let body = String::from_utf8_lossy(&body);
            strings(&serde_json::from_str(&body).unwrap_or_default(), &mut texts);
        }
        texts
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn id() -> CredentialId {
    "stripe-api-key".parse().expect("an id")
}

fn split(
    versioned: (cred_core::EncryptedData, cred_core::CredentialMetadata, cred_core::Revision),
) -> (Stored, ()) {
    ((versioned.0, versioned.1), ())
}

fn full(error: &StorageError) -> String {
    let mut text = format!("{error:?}");
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        text += &cause.to_string();
        next = cause.source();
    }
    text
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The policy of one attempt for each call: the answer would be the same.
#[must_use]
pub fn once() -> RetryPolicy {
    RetryPolicy::default().with_max_retries(0)
}

async fn serve(listener: TcpListener, script: Script, beside: &'static [(&'static str, &'static str)]) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(answer(stream, script.clone(), beside));
    }
}

async fn answer(mut stream: TcpStream, script: Script, beside: &'static [(&'static str, &'static str)]) {
    let mut read = Vec::new();
    loop {
        let Some(end) = whole_request(&mut stream, &mut read).await else { return };
        let line = String::from_utf8_lossy(read.split(|byte| *byte == b'\r').next().unwrap_or_default())
            .into_owned();
        let fixed = beside.iter().find(|(path, _)| line.contains(path));
        let (status, body) = match fixed {
            Some((_, body)) => (200, body.as_bytes().to_vec()),
            None => script.answer(line.split(' ').next().unwrap_or_default()),
        };
        read.drain(..end);
        let body = if status == 204 { Vec::new() } else { body };
        let mut answer = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n").into_bytes();
        if status != 204 {
            answer.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(&body);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Where the first request ends that was read.
async fn whole_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(head) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let end = head + 4 + length.unwrap_or(0_usize);
            if read.len() >= end {
                return Some(end);
            }
        }
        if stream.read_buf(read).await.ok()? == 0 {
            return None;
        }
    }
}

/// What every provider of a fuzz target waits at most: nothing here takes as long.
pub const TIMEOUT: Duration = Duration::from_secs(5);
