//! The proxy: its fault script and its listener.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::pipe;

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// A network fault, injected into one request or its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Delays the start of the answer by this time.
    Latency(Duration),
    /// Reads the request and never answers. The request does not reach the server.
    Stall,
    /// Stops the answer after this number of bytes and keeps the connection open. The server has
    /// handled the request.
    StallAfter(usize),
    /// Resets the connection after this number of bytes of the answer; 0: when its first byte
    /// arrives. The server has handled the request.
    Reset(usize),
    /// Closes the connection in good order after this number of bytes of the answer.
    Truncate(usize),
    /// Closes the connection before the first byte of the answer. The server has handled the
    /// request.
    LoseAnswer,
    /// Sends this complete HTTP/1.1 answer at once and closes the connection. The request does not
    /// reach the server.
    Answer(Vec<u8>),
}

impl Fault {
    /// Creates a [`Fault::Answer`] from a status, headers in the form `Name: value`, and a body.
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

/// A TCP proxy on a free loopback port. Dropping it closes its port and all its connections.
///
/// ```no_run
/// use cred_fault_proxy::{Fault, Proxy};
///
/// # async fn example() -> std::io::Result<()> {
/// let proxy = Proxy::start(([127, 0, 0, 1], 8200).into()).await?;
/// // Point the provider at `proxy.address()`, then break its next request:
/// proxy.fail_once(Fault::LoseAnswer);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `None` while connections are refused.
    listener: Mutex<Option<Listener>>,
    /// Reserves the port while the proxy does not listen: another proxy on it would answer for the
    /// server that is down.
    _port: TcpSocket,
}

#[derive(Debug)]
pub(crate) struct Shared {
    upstream: SocketAddr,
    script: Mutex<Script>,
    requests: AtomicUsize,
}

#[derive(Debug, Default)]
struct Script {
    fault: Option<Fault>,
    /// The number of requests to forward before the fault.
    skip: usize,
    /// The number of requests that get the fault; `None`: all.
    left: Option<usize>,
    /// The fault of all later requests.
    then: Option<Fault>,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    ///
    /// # Errors
    /// If it cannot listen on a loopback port.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let port = socket()?;
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = port.local_addr()?;
        let shared = Arc::new(Shared { upstream, script: Mutex::default(), requests: AtomicUsize::new(0) });
        let listener = Listener::open(address, &shared)?;
        Ok(Self { address, shared, listener: Mutex::new(Some(listener)), _port: port })
    }

    /// Returns the address at which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Injects the fault into the next request.
    pub fn fail_once(&self, fault: Fault) {
        self.fail(fault, 0, Some(1));
    }

    /// Forwards `skip` requests and injects the fault into the next one.
    pub fn fail_after(&self, skip: usize, fault: Fault) {
        self.fail(fault, skip, Some(1));
    }

    /// Forwards `skip` requests and injects the fault into all later ones.
    pub fn fail_all_after(&self, skip: usize, fault: Fault) {
        self.fail(fault, skip, None);
    }

    /// Injects the fault into the next `times` requests.
    pub fn fail_times(&self, fault: Fault, times: usize) {
        self.fail(fault, 0, Some(times));
    }

    /// Injects `fault` into the next request, and `then` into all later ones.
    pub fn fail_once_then(&self, fault: Fault, then: Fault) {
        *self.script() = Script { fault: Some(fault), skip: 0, left: Some(1), then: Some(then) };
    }

    /// Injects the fault into every request.
    pub fn fail_always(&self, fault: Fault) {
        self.fail(fault, 0, None);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        *self.script() = Script::default();
    }

    /// Refuses new connections and closes the open ones. The proxy keeps its port.
    ///
    /// Once this has returned, no data is forwarded.
    ///
    /// # Cancellation
    /// If the future is dropped, the connections close a moment later.
    pub async fn refuse(&self) {
        let listener = self.listener().take();
        if let Some(listener) = listener {
            listener.close().await;
        }
    }

    /// Accepts connections again, at once.
    ///
    /// # Errors
    /// If it cannot listen on its port.
    pub fn admit(&self) -> io::Result<()> {
        let mut listener = self.listener();
        if listener.is_none() {
            *listener = Some(Listener::open(self.address, &self.shared)?);
        }
        Ok(())
    }

    /// Returns the number of requests so far, with and without faults.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    fn fail(&self, fault: Fault, skip: usize, left: Option<usize>) {
        *self.script() = Script { fault: Some(fault), skip, left, then: None };
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Counts a new request and returns its fault.
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

/// Accepts connections. Dropping it closes them.
#[derive(Debug)]
struct Listener {
    closing: oneshot::Sender<()>,
    task: JoinSet<()>,
}

impl Listener {
    fn open(address: SocketAddr, shared: &Arc<Shared>) -> io::Result<Self> {
        let socket = socket()?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let (closing, closed) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, Arc::clone(shared), closed));
        Ok(Self { closing, task })
    }

    async fn close(mut self) {
        drop(self.closing);
        self.task.join_next().await;
    }
}

/// Creates a socket that can be bound to the address of another socket of this process.
fn socket() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    #[cfg(not(unix))]
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// Accepts connections until the listener is closed, then closes them.
async fn serve(listener: TcpListener, shared: Arc<Shared>, mut closed: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let shared = Arc::clone(&shared);
                    connections.spawn(async move {
                        // The client sees this failure too.
                        let _ = pipe::run(client, &shared).await;
                    });
                }
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
            _ = &mut closed => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}
