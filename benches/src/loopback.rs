//! Compares a read through a provider with the same read through the bare client, against an HTTP
//! server in this process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, Sealed, StorageProvider,
    Timestamp,
};
use cred_provider_kit::CredentialFile;
use tokio::runtime::Runtime;

use crate::ratio;

/// Upper bound for the ratio of a provider's read to a bare read.
const TARGET: f64 = 1.15;
const SAMPLES: usize = 400;
const READS: u32 = 50;

/// A credential of 1 KiB in its stored form.
pub fn envelope() -> Vec<u8> {
    let key_id: KeyId = "main".parse().unwrap();
    let data = EncryptedData::new(key_id, [1; 32], [2; 32], [3; 12], vec![4; 1_024], [5; 16]);
    CredentialFile::new(data, CredentialMetadata::new(Timestamp::now())).encode().unwrap()
}

/// The same envelope, escaped for use inside a JSON string.
pub fn envelope_in_json() -> String {
    String::from_utf8(envelope()).unwrap().replace('"', "\\\"")
}

/// A server that gives every request the same answer, with one thread per connection. It runs until
/// the process exits.
pub struct Server {
    pub address: SocketAddr,
    answer: Vec<u8>,
    request: &'static str,
}

impl Server {
    /// `request` is a sample request, used to measure the server's round trip. A request counts as
    /// complete once a read ends with the last byte of `request`.
    pub fn start(request: &'static str, content_type: &str, body: &str) -> Self {
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server =
            Self { address: listener.local_addr().unwrap(), answer: (head + body).into_bytes(), request };
        let (answer, end) = (server.answer.clone(), request.as_bytes().last().copied());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, answer) = (stream.unwrap(), answer.clone());
                thread::spawn(move || serve(stream, &answer, end));
            }
        });
        println!(
            "The server answers in {:?}, on an open connection and without an HTTP client.\n",
            server.round_trip()
        );
        server
    }

    fn round_trip(&self) -> Duration {
        const TRIPS: u32 = 1_000;
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut taken = vec![0; self.answer.len()];
        let begun = Instant::now();
        for _ in 0..TRIPS {
            stream.write_all(self.request.as_bytes()).unwrap();
            stream.read_exact(&mut taken).unwrap();
        }
        begun.elapsed() / TRIPS
    }
}

fn serve(mut stream: TcpStream, answer: &[u8], end: Option<u8>) {
    stream.set_nodelay(true).unwrap();
    let mut piece = [0; 8 * 1_024];
    // A body may arrive in a separate read, after a head that ends with another byte.
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        if piece.get(count - 1).copied() == end && stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// A runtime with one worker thread, in addition to the thread of the benchmark.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Measures reads of the credential `key` on both sides and prints their ratio.
pub fn beside(name: &str, runtime: &Runtime, provider: &impl StorageProvider, bare: impl AsyncFn()) {
    let (id, ctx): (CredentialId, _) = ("key".parse().unwrap(), CredentialContext::unscoped());
    let ours = async || -> Sealed { provider.retrieve(&id, &ctx).await.unwrap() };
    ratio::head();
    ratio::compare(
        name,
        TARGET,
        SAMPLES,
        || timed(runtime, async || drop(std::hint::black_box(ours().await))),
        || timed(runtime, &bare),
    );
}

fn timed(runtime: &Runtime, work: impl AsyncFn()) -> Duration {
    let begun = Instant::now();
    runtime.block_on(async {
        for _ in 0..READS {
            work().await;
        }
    });
    begun.elapsed()
}
