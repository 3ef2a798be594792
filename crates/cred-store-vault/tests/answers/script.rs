//! A server whose answers are written down before, each for the request that it is for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::RetryPolicy;
use cred_store_vault::VaultConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What becomes of one request.
pub(crate) enum Answer {
    Said(u16, String),
    Late(Duration, u16, String),
    /// The connection ends without one.
    Lost,
    Never,
}

impl Answer {
    pub(crate) fn said(status: u16, body: &str) -> Self {
        Self::Said(status, body.to_owned())
    }

    pub(crate) fn denied() -> Self {
        Self::said(403, r#"{"errors":["permission denied"]}"#)
    }
}

pub(crate) struct Script {
    pub(crate) address: String,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    _task: JoinSet<()>,
}

impl Script {
    /// `answer` is told the method and the path of a request, and how often the same was asked before.
    pub(crate) async fn start(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<HashMap<String, usize>>>::default();
        let mut task = JoinSet::new();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                connections.spawn(async move {
                    let (mut stream, asked) = request(stream).await;
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        let count = seen.entry(asked.clone()).or_default();
                        *count += 1;
                        *count - 1
                    };
                    let (status, body) = match answer(&asked, before) {
                        Answer::Said(status, body) => (status, body),
                        Answer::Late(delay, status, body) => {
                            sleep(delay).await;
                            (status, body)
                        }
                        Answer::Lost => return,
                        Answer::Never => std::future::pending().await,
                    };
                    let head = format!(
                        "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                });
            }
        });
        Self { address, asked, _task: task }
    }

    /// How many requests of a method whose path ends like this there were.
    pub(crate) fn asked(&self, method: &str, end: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|(line, _)| line.starts_with(method) && line.ends_with(end))
            .map(|(_, count)| count)
            .sum()
    }

    pub(crate) fn config(&self) -> VaultConfig {
        VaultConfig::default()
            .with_address(&self.address)
            .with_timeout(Duration::from_secs(5))
            .with_operation_timeout(Duration::from_secs(20))
            .with_retry_policy(RetryPolicy::default().with_max_retries(2).with_base_delay_ms(10))
    }
}

/// Reads a request to its end; gives its method and path.
async fn request(mut stream: TcpStream) -> (TcpStream, String) {
    let mut text = Vec::new();
    loop {
        let whole = String::from_utf8_lossy(&text).to_lowercase();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.trim().parse().unwrap()) {
                break;
            }
        }
        if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // Some have an empty query.
    let asked = format!("{method} {}", path.trim_end_matches('?'));
    (stream, asked)
}
