//! The proxy: what it is told, and whom it lets in.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::pipe;

/// Connections that wait to be let in, at most.
const BACKLOG: u32 = 1_024;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The answer begins so much later.
    Latency(Duration),
    /// The request is taken, and nothing ever answered. It does not reach the server.
    Stall,
    /// The answer stops after so many bytes, and the connection stays open. The server has
    /// answered.
    StallAfter(usize),
    /// The connection is reset after so many bytes of the answer; 0: at its first byte. The server
    /// has answered.
    Reset(usize),
    /// The connection is closed in good order after so many bytes of the answer.
    Truncate(usize),
    /// The request reaches the server and is answered; the connection ends before a byte of it
    /// arrives.
    LoseAnswer,
    /// This is answered at once, and the server never asked: a whole HTTP/1.1 answer. The
    /// connection ends with it.
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
    /// `None` while everybody is refused.
    door: Mutex<Option<Door>>,
    /// Keeps the port while nobody listens: another proxy on it would answer for the server that is
    /// down.
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
        let port = socket()?;
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = port.local_addr()?;
        let shared = Arc::new(Shared { upstream, script: Mutex::default(), requests: AtomicUsize::new(0) });
        let door = Door::open(address, &shared)?;
        Ok(Self { address, shared, door: Mutex::new(Some(door)), _port: port })
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

    /// Breaks no request any more.
    pub fn heal(&self) {
        *self.script() = Script::default();
    }

    /// Refuses connections and ends those that there are. Once this has returned, nothing passes;
    /// dropped before, it closes a moment later. The port stays this proxy's.
    pub async fn refuse(&self) {
        let door = self.door().take();
        if let Some(door) = door {
            door.close().await;
        }
    }

    /// Lets everybody in again, at once.
    ///
    /// # Errors
    /// Where the system lets nobody listen.
    pub fn admit(&self) -> io::Result<()> {
        let mut door = self.door();
        if door.is_none() {
            *door = Some(Door::open(self.address, &self.shared)?);
        }
        Ok(())
    }

    /// How many requests were seen so far, broken or not.
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

    fn door(&self) -> MutexGuard<'_, Option<Door>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Where connections come in. Dropping it ends them.
#[derive(Debug)]
struct Door {
    closing: oneshot::Sender<()>,
    task: JoinSet<()>,
}

impl Door {
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

/// A socket that can be bound where another one of this process is.
fn socket() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    #[cfg(not(unix))]
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// Lets connections in until the door closes, and sees them end.
async fn serve(listener: TcpListener, shared: Arc<Shared>, mut closed: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
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
            _ = &mut closed => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}
