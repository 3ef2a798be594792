//! A read through a provider beside the same read by the bare client, on an HTTP server in this process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, StorageProvider, Stored,
    Timestamp,
};
use cred_provider_kit::CredentialFile;
use tokio::runtime::Runtime;

use crate::ratio;

/// The most that a provider's read may cost of a bare one.
const TARGET: f64 = 1.15;
const SAMPLES: usize = 400;
const READS: u32 = 50;

/// A credential of 1 KiB, as a backend keeps it.
pub fn envelope() -> Vec<u8> {
    let key_id: KeyId = "main".parse().unwrap();
    let data = EncryptedData::new(key_id, [1; 32], [2; 32], [3; 12], vec![4; 1_024], [5; 16]);
    CredentialFile::new(data, CredentialMetadata::new(Timestamp::now())).encode().unwrap()
}

/// The same within a string of JSON.
pub fn envelope_in_json() -> String {
    String::from_utf8(envelope()).unwrap().replace('"', "\\\"")
}

/// A server that answers every request alike, a thread for each connection. It ends with the process.
pub struct Server {
    pub address: SocketAddr,
    answer: Vec<u8>,
    request: &'static str,
}

impl Server {
    /// `request` is one that it answers, whose last byte ends every request.
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
            "The server answers in {:?}, connection and all else of a client apart.\n",
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
    // A body may come in a piece of its own, after a head that ends otherwise.
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        if piece.get(count - 1).copied() == end && stream.write_all(answer).is_err() {
            return;
        }
    }
}

/// A runtime of one thread, beside that of the benchmark.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Measures reads of the credential `key`, and prints their ratio.
pub fn beside(name: &str, runtime: &Runtime, provider: &impl StorageProvider, bare: impl AsyncFn()) {
    let (id, ctx): (CredentialId, _) = ("key".parse().unwrap(), CredentialContext::unscoped());
    let ours = async || -> Stored { provider.retrieve(&id, &ctx).await.unwrap() };
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
