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

/// One request, with its whole body.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many requests the server had before it.
    pub earlier: usize,
    /// How many of those had the same method and path.
    pub repeats: usize,
    /// The request line and the headers.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Method and path: `GET /v1/x`. An empty query is left out.
    #[must_use]
    pub fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.trim_end_matches(" HTTP/1.1").trim_end_matches('?')
    }

    /// The value of a header; `name` in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Head and body.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// What becomes of one request.
#[derive(Debug, Clone)]
pub struct Answer {
    after: Duration,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Whole { status: u16, headers: String, body: String },
    Raw(&'static str),
    Never,
}

impl Answer {
    /// A whole answer, with the headers that its length needs.
    #[must_use]
    pub fn new(status: u16, body: impl fmt::Display) -> Self {
        Self::of(What::Whole { status, headers: String::new(), body: body.to_string() })
    }

    /// These bytes, after which the connection ends.
    #[must_use]
    pub fn raw(bytes: &'static str) -> Self {
        Self::of(What::Raw(bytes))
    }

    /// The connection ends without an answer.
    #[must_use]
    pub fn lost() -> Self {
        Self::raw("")
    }

    /// No answer, while the connection stays open.
    #[must_use]
    pub fn never() -> Self {
        Self::of(What::Never)
    }

    fn of(what: What) -> Self {
        Self { after: Duration::ZERO, what }
    }

    /// Adds a header line, written `Name: value`, to a whole answer.
    #[must_use]
    pub fn with_header(mut self, line: &str) -> Self {
        if let What::Whole { headers, .. } = &mut self.what {
            *headers += &format!("{line}\r\n");
        }
        self
    }

    /// Waits this long before the answer.
    #[must_use]
    pub fn late(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }
}

impl<B: fmt::Display> From<(u16, B)> for Answer {
    fn from((status, body): (u16, B)) -> Self {
        Self::new(status, body)
    }
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// Answers every request as its script says. Dropping it ends it and its connections.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _task: JoinSet<()>,
}

impl Server {
    /// A server on a free port of loopback.
    pub async fn start<A: Into<Answer>>(script: impl Fn(&Request) -> A + Send + Sync + 'static) -> Self {
        Self::over(|stream| std::future::ready(Ok(stream)), script).await
    }

    /// Gives these answers in turn, and the last one again and again.
    pub async fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<_> = answers.into_iter().collect();
        Self::start(move |request| answers.get(request.earlier).or(answers.last()).unwrap().clone()).await
    }

    /// A server whose connections begin with `accept`, such as a TLS handshake.
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
                    // A connection that fails has failed for the client, who sees it.
                    if let Ok(stream) = accept(stream).await {
                        let _ = converse(stream, &seen, &*script).await;
                    }
                });
            }
        });
        Self { address, requests, _task: task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Method and path of each request so far.
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
async fn converse(
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
        let Answer { after, what } = script(&request);
        sleep(after).await;
        match what {
            What::Never => std::future::pending().await,
            What::Raw(bytes) => {
                stream.write_all(bytes.as_bytes()).await?;
                return stream.shutdown().await;
            }
            What::Whole { status, headers, body } => {
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await?;
            }
        }
    }
    Ok(())
}

/// Head and body of the next request; `None`: the connection has ended. `bytes` keeps what follows.
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
