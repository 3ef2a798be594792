//! Each fault works as documented, and only on the requests that it was set for.
#![cfg(test)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cred_fault_proxy::{Check, Fault, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const ANSWER: &[u8] = b"0123456789";

/// A server that answers each chunk that it reads.
struct Upstream {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        let counter = Arc::clone(&requests);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                connections.spawn(async move {
                    let mut request = [0; 1_024];
                    while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                        counter.fetch_add(1, Ordering::SeqCst);
                        if stream.write_all(ANSWER).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests, _task: task }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn start_both() -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address).await.unwrap();
    (upstream, proxy)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends a request and returns the answer, which is truncated if the connection was closed in good
/// order before its end.
async fn request(stream: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.map_err(|error| error.kind())?;
    let mut answer = Vec::new();
    while answer.len() < ANSWER.len() {
        match stream.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(error.kind()),
        }
    }
    Ok(answer)
}

#[tokio::test]
async fn without_a_fault_requests_are_forwarded_and_counted() {
    let (upstream, proxy) = start_both().await;
    let mut stream = connect(&proxy).await;
    for _ in 0..3 {
        assert_eq!(request(&mut stream).await.unwrap(), ANSWER);
    }
    assert_eq!((proxy.requests(), upstream.requests()), (3, 3));
}

#[tokio::test]
async fn a_fault_affects_only_the_requests_that_it_was_set_for() {
    let (_upstream, proxy) = start_both().await;
    proxy.fail_after(1, Fault::Truncate(4));
    let mut stream = connect(&proxy).await;
    assert_eq!(request(&mut stream).await.unwrap(), ANSWER);
    assert_eq!(request(&mut stream).await.unwrap(), b"0123");
    assert_eq!(request(&mut connect(&proxy).await).await.unwrap(), ANSWER);
    proxy.fail_times(Fault::Truncate(0), 2);
    for expected in [&b""[..], b"", ANSWER] {
        assert_eq!(request(&mut connect(&proxy).await).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn latency_comes_before_the_answer() {
    let (_upstream, proxy) = start_both().await;
    proxy.fail_once(Fault::Latency(Duration::from_millis(100)));
    let mut stream = connect(&proxy).await;
    let started = Instant::now();
    assert_eq!(request(&mut stream).await.unwrap(), ANSWER);
    assert!(started.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_stall_keeps_the_request_from_the_server() {
    let (upstream, proxy) = start_both().await;
    proxy.fail_once(Fault::Stall);
    let mut stream = connect(&proxy).await;
    assert!(timeout(Duration::from_millis(100), request(&mut stream)).await.is_err());
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn an_answer_stalls_after_its_first_bytes() {
    let (upstream, proxy) = start_both().await;
    proxy.fail_once(Fault::StallAfter(4));
    let mut stream = connect(&proxy).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!((&answer[..], upstream.requests()), (&b"0123"[..], 1));
    assert!(
        timeout(Duration::from_millis(100), stream.read_u8()).await.is_err(),
        "expected neither a byte nor the end of the stream"
    );
}

#[tokio::test]
async fn fail_once_then_uses_the_second_fault_for_all_later_requests() {
    let (_upstream, proxy) = start_both().await;
    proxy.fail_once_then(Fault::Truncate(4), Fault::Truncate(2));
    for expected in [&b"0123"[..], b"01", b"01"] {
        assert_eq!(request(&mut connect(&proxy).await).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_reset_fault_resets_the_connection() {
    let (_upstream, proxy) = start_both().await;
    for after in [0, 4] {
        proxy.fail_once(Fault::Reset(after));
        let mut stream = connect(&proxy).await;
        assert_eq!(request(&mut stream).await.unwrap_err(), ErrorKind::ConnectionReset, "after {after}");
    }
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_reaches_the_server() {
    let (upstream, proxy) = start_both().await;
    proxy.fail_once(Fault::LoseAnswer);
    assert_eq!(request(&mut connect(&proxy).await).await.unwrap_or_default(), b"");
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn a_scripted_answer_reads_the_whole_request_and_does_not_reach_the_server() {
    let (upstream, proxy) = start_both().await;
    proxy.fail_once(Fault::answer(503, &["Retry-After: 7"], "no"));
    let mut stream = connect(&proxy).await;
    stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
    let mut answer = String::new();
    let early = timeout(Duration::from_millis(50), stream.read_to_string(&mut answer)).await;
    assert!(early.is_err(), "answered before the whole body was sent");
    stream.write_all(b"cd").await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert!(
        answer.contains("\r\nRetry-After: 7\r\n") && answer.contains("\r\nContent-Length: 2\r\n"),
        "{answer}"
    );
    assert_eq!((proxy.requests(), upstream.requests()), (1, 0));
}

#[tokio::test]
async fn connections_are_refused_until_admit() {
    let (_upstream, proxy) = start_both().await;
    let mut open = connect(&proxy).await;
    assert_eq!(request(&mut open).await.unwrap(), ANSWER);
    proxy.refuse().await;
    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.admit().unwrap();
    proxy.admit().unwrap();
    assert_eq!(request(&mut connect(&proxy).await).await.unwrap(), ANSWER);
}

/// A request that is sent after `refuse` has returned is never answered.
#[tokio::test(flavor = "multi_thread")]
async fn no_data_is_forwarded_after_refuse() {
    let (_upstream, proxy) = start_both().await;
    for round in 0..500 {
        let mut open = connect(&proxy).await;
        assert_eq!(request(&mut open).await.unwrap(), ANSWER);
        proxy.refuse().await;
        let answer = request(&mut open).await.unwrap_or_default();
        assert!(answer.is_empty(), "round {round}");
        proxy.admit().unwrap();
    }
}

#[tokio::test]
async fn a_refusing_proxy_keeps_its_port() {
    let (_upstream, proxy) = start_both().await;
    proxy.refuse().await;
    let taken = TcpListener::bind(proxy.address()).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

#[test]
fn check_names_are_unique() {
    let names: std::collections::BTreeSet<_> = Check::all().iter().map(Check::name).collect();
    assert_eq!(names.len(), Check::all().len());
}
