//! The proxy: what it is told, and whom it lets in.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::pipe;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The answer begins so much later.
    Latency(Duration),
    /// The request is taken, and nothing ever answered. It does not reach the server.
    Stall,
    /// The answer stops after so many bytes, and the connection stays open. The server has answered.
    StallAfter(usize),
    /// The connection is reset after so many bytes of the answer; 0: at its first byte. The server has answered.
    Reset(usize),
    /// The connection is closed in good order after so many bytes of the answer.
    Truncate(usize),
    /// The request reaches the server and is answered; the connection ends before a byte of it arrives.
    LoseAnswer,
    /// This is answered at once, and the server never asked: a whole HTTP/1.1 answer. The connection ends with it.
    Answer(Vec<u8>),
}

impl Fault {
    /// [`Fault::Answer`] with a status, headers as `Name: value`, and a body.
    #[must_use]
    pub fn answer(status: u16, headers: &[&str], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()));
        Self::Answer(text.into_bytes())
    }
}

/// A proxy on a free port of loopback. Dropping it ends it, and every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    upstream: SocketAddr,
    script: Mutex<Script>,
    requests: AtomicUsize,
    /// Whether anybody is let in.
    open: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Script {
    fault: Option<Fault>,
    /// How many requests go through before.
    skip: usize,
    /// How many requests it is for; `None`: all.
    left: Option<usize>,
    /// What all others after those meet.
    then: Option<Fault>,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    ///
    /// # Errors
    /// Where no port of loopback can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            script: Mutex::default(),
            requests: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, address, Arc::clone(&shared)));
        Ok(Self { address, shared, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks the next request.
    pub fn fail_once(&self, fault: Fault) {
        self.fail(fault, 0, Some(1));
    }

    /// Lets so many requests through and breaks the one after them.
    pub fn fail_after(&self, skip: usize, fault: Fault) {
        self.fail(fault, skip, Some(1));
    }

    /// Lets so many requests through and breaks every one after them.
    pub fn fail_all_after(&self, skip: usize, fault: Fault) {
        self.fail(fault, skip, None);
    }

    /// Breaks so many requests.
    pub fn fail_times(&self, fault: Fault, times: usize) {
        self.fail(fault, 0, Some(times));
    }

    /// Breaks the next request in one way, and all others in another.
    pub fn fail_once_then(&self, fault: Fault, then: Fault) {
        *self.script() = Script { fault: Some(fault), skip: 0, left: Some(1), then: Some(then) };
    }

    /// Breaks every request.
    pub fn fail_always(&self, fault: Fault) {
        self.fail(fault, 0, None);
    }

    /// Breaks nothing any more, and lets everybody in.
    pub fn heal(&self) {
        *self.script() = Script::default();
        self.shared.open.send_replace(true);
    }

    /// Refuses connections and resets those that there are.
    pub fn refuse(&self) {
        self.shared.open.send_replace(false);
    }

    /// How many requests were seen so far, broken or not.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    fn fail(&self, fault: Fault, skip: usize, left: Option<usize>) {
        *self.script() = Script { fault: Some(fault), skip, left, then: None };
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// A request begins: what becomes of it.
    pub(crate) fn next(&self) -> Option<Fault> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        if script.skip > 0 {
            script.skip -= 1;
            return None;
        }
        match &mut script.left {
            Some(0) => return script.then.clone(),
            Some(left) => *left -= 1,
            None => {}
        }
        script.fault.clone()
    }

    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.upstream).await
    }
}

/// Lets connections in while the proxy is open. They end when it closes, or with this task.
async fn serve(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut open = shared.open.subscribe();
    let mut listener = Some(listener);
    loop {
        let mut connections = JoinSet::new();
        if let Some(listener) = listener.take() {
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((client, _)) = accepted {
                            let shared = Arc::clone(&shared);
                            connections.spawn(async move {
                                // A connection that fails by itself has failed for the client, who sees it.
                                let _ = pipe::run(client, &shared).await;
                            });
                        }
                    }
                    _ = connections.join_next(), if !connections.is_empty() => {}
                    closed = open.wait_for(|open| !open) => {
                        if closed.is_err() {
                            return;
                        }
                        break;
                    }
                }
            }
        }
        drop(connections);
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
        // Nobody else is given the port meanwhile, as a rule; if so, the test fails to connect and says so.
        listener = TcpListener::bind(address).await.ok();
    }
}
