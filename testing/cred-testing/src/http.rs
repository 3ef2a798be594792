//! A scripted HTTP/1.1 server on loopback.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A request with its complete body.
#[derive(Debug, Clone)]
pub struct Request {
    /// Number of earlier requests to the server.
    pub earlier: usize,
    /// Number of earlier requests with the same method and path.
    pub repeats: usize,
    /// The request line and the headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns method and path, such as `GET /v1/x`. An empty query is left out.
    #[must_use]
    pub fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1").trim_end_matches('?')
    }

    /// Returns the value of a header. The case of `name` does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Returns head and body as text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// The scripted response to a request.
#[derive(Debug, Clone)]
pub struct Answer {
    delay: Duration,
    reply: Reply,
}

#[derive(Debug, Clone)]
enum Reply {
    Complete { status: u16, headers: String, body: String },
    Raw(&'static str),
    Never,
}

impl Answer {
    /// Creates a complete response with a `Content-Length` header.
    #[must_use]
    pub fn new(status: u16, body: impl fmt::Display) -> Self {
        Self::of(Reply::Complete { status, headers: String::new(), body: body.to_string() })
    }

    /// Sends these bytes and closes the connection.
    #[must_use]
    pub fn raw(bytes: &'static str) -> Self {
        Self::of(Reply::Raw(bytes))
    }

    /// Closes the connection without a response.
    #[must_use]
    pub fn lost() -> Self {
        Self::raw("")
    }

    /// Never responds, and keeps the connection open.
    #[must_use]
    pub fn never() -> Self {
        Self::of(Reply::Never)
    }

    fn of(reply: Reply) -> Self {
        Self { delay: Duration::ZERO, reply }
    }

    /// Adds a header line, in the form `Name: value`, to a complete response.
    #[must_use]
    pub fn with_header(mut self, line: &str) -> Self {
        if let Reply::Complete { headers, .. } = &mut self.reply {
            *headers += &format!("{line}\r\n");
        }
        self
    }

    /// Delays the response.
    #[must_use]
    pub fn late(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl<B: fmt::Display> From<(u16, B)> for Answer {
    fn from((status, body): (u16, B)) -> Self {
        Self::new(status, body)
    }
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server that answers each request by a script. Dropping it stops it and closes its connections.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _task: JoinSet<()>,
}

impl Server {
    /// Starts a server on a free port of loopback.
    pub async fn start<A: Into<Answer>>(script: impl Fn(&Request) -> A + Send + Sync + 'static) -> Self {
        Self::over(|stream| std::future::ready(Ok(stream)), script).await
    }

    /// Starts a server that sends these responses in order, and repeats the last one.
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<_> = answers.into_iter().collect();
        Self::start(move |request| answers.get(request.earlier).or(answers.last()).unwrap().clone()).await
    }

    /// Starts a server that calls `accept` for each connection, such as for a TLS handshake.
    pub async fn over<S, F, A>(
        accept: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
        script: impl Fn(&Request) -> A + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = io::Result<S>> + Send,
        A: Into<Answer>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        let script: Arc<Script> = Arc::new(move |request| script(request).into());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (accept, seen, script) = (accept.clone(), Arc::clone(&seen), Arc::clone(&script));
                connections.spawn(async move {
                    // The client reports a failed connection.
                    if let Ok(stream) = accept(stream).await {
                        let _ = serve_connection(stream, &seen, &*script).await;
                    }
                });
            }
        });
        Self { address, requests, _task: task }
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns method and path of each request so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| request.line().to_owned()).collect()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Answers the requests of one connection, one after another.
async fn serve_connection(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<Request>>,
    script: &Script,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut bytes).await? {
        let request = {
            let mut seen = seen.lock().unwrap();
            let mut request = Request { earlier: seen.len(), repeats: 0, head, body };
            request.repeats = seen.iter().filter(|earlier| earlier.line() == request.line()).count();
            seen.push(request.clone());
            request
        };
        let Answer { delay, reply } = script(&request);
        sleep(delay).await;
        match reply {
            Reply::Never => std::future::pending().await,
            Reply::Raw(bytes) => {
                stream.write_all(bytes.as_bytes()).await?;
                return stream.shutdown().await;
            }
            Reply::Complete { status, headers, body } => {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// Reads head and body of the next request; `None`: the connection has ended. `bytes` keeps the
/// data that follows.
async fn request(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> io::Result<Option<(String, Vec<u8>)>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end + 4).unwrap_or_default()).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            let whole = end + 4 + length.unwrap_or_default();
            if bytes.len() >= whole {
                let rest = bytes.split_off(whole);
                let body = std::mem::replace(bytes, rest).split_off(end + 4);
                return Ok(Some((head, body)));
            }
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}
