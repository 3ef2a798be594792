//! A server of HTTP/1.1 as small as it can be.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// What was asked.
#[derive(Debug)]
pub(crate) struct Request {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Method and path.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap().trim_end_matches(" HTTP/1.1")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Status and body.
pub(crate) type Answer = (u16, String);

/// What the metadata of an instance say of the life of a token; nobody else minds.
const INSTANCE: &str = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// Answers all requests as the script says, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    pub(crate) async fn new(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&script)));
            }
        });
        Self { address, task: task.abort_handle() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers the requests of one connection.
async fn serve(mut stream: TcpStream, script: Arc<Script>) {
    while let Some(request) = request(&mut stream).await {
        let (status, body) = script(&request);
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n{INSTANCE}: 600\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read(stream, &mut bytes).await?;
    };
    let body = bytes.split_off(end);
    let mut request = Request { head: String::from_utf8(bytes).unwrap(), body };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while request.body.len() < length {
        read(stream, &mut request.body).await?;
    }
    Some(request)
}

async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(bytes).await.ok()?;
    (count > 0).then_some(())
}
