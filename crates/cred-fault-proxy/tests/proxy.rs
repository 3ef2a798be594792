//! Each fault does what it says, to the request that it is for and to no other.
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

/// Answers each piece that it reads.
struct Upstream {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        let counter = Arc::clone(&asked);
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
        Self { address, asked, _task: task }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn both() -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address).await.unwrap();
    (upstream, proxy)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Asks, and gives the answer; shorter than a whole one where the connection ended in order.
async fn ask(stream: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
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
async fn without_a_fault_everything_passes_and_is_counted_by_requests() {
    let (upstream, proxy) = both().await;
    let mut stream = connect(&proxy).await;
    for _ in 0..3 {
        assert_eq!(ask(&mut stream).await.unwrap(), ANSWER);
    }
    assert_eq!((proxy.requests(), upstream.asked()), (3, 3));
}

#[tokio::test]
async fn a_fault_is_for_the_request_that_it_was_given_for() {
    let (_upstream, proxy) = both().await;
    proxy.fail_after(1, Fault::Truncate(4));
    let mut stream = connect(&proxy).await;
    assert_eq!(ask(&mut stream).await.unwrap(), ANSWER);
    assert_eq!(ask(&mut stream).await.unwrap(), b"0123");
    assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), ANSWER);
    proxy.fail_times(Fault::Truncate(0), 2);
    for expected in [&b""[..], b"", ANSWER] {
        assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn latency_comes_before_the_answer() {
    let (_upstream, proxy) = both().await;
    proxy.fail_once(Fault::Latency(Duration::from_millis(100)));
    let mut stream = connect(&proxy).await;
    let begun = Instant::now();
    assert_eq!(ask(&mut stream).await.unwrap(), ANSWER);
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_stall_keeps_the_request_from_the_server() {
    let (upstream, proxy) = both().await;
    proxy.fail_once(Fault::Stall);
    let mut stream = connect(&proxy).await;
    assert!(timeout(Duration::from_millis(100), ask(&mut stream)).await.is_err());
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn an_answer_stalls_after_its_first_bytes() {
    let (upstream, proxy) = both().await;
    proxy.fail_once(Fault::StallAfter(4));
    let mut stream = connect(&proxy).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!((&answer[..], upstream.asked()), (&b"0123"[..], 1));
    assert!(
        timeout(Duration::from_millis(100), stream.read_u8()).await.is_err(),
        "neither a byte nor the end"
    );
}

#[tokio::test]
async fn one_fault_is_followed_by_another() {
    let (_upstream, proxy) = both().await;
    proxy.fail_once_then(Fault::Truncate(4), Fault::Truncate(2));
    for expected in [&b"0123"[..], b"01", b"01"] {
        assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_reset_is_one() {
    let (_upstream, proxy) = both().await;
    for after in [0, 4] {
        proxy.fail_once(Fault::Reset(after));
        let mut stream = connect(&proxy).await;
        assert_eq!(ask(&mut stream).await.unwrap_err(), ErrorKind::ConnectionReset, "after {after}");
    }
}

#[tokio::test]
async fn a_lost_answer_was_given() {
    let (upstream, proxy) = both().await;
    proxy.fail_once(Fault::LoseAnswer);
    assert_eq!(ask(&mut connect(&proxy).await).await.unwrap_or_default(), b"");
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test]
async fn a_scripted_answer_asks_nobody_and_takes_the_whole_request() {
    let (upstream, proxy) = both().await;
    proxy.fail_once(Fault::answer(503, &["Retry-After: 7"], "no"));
    let mut stream = connect(&proxy).await;
    stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
    let mut answer = String::new();
    let early = timeout(Duration::from_millis(50), stream.read_to_string(&mut answer)).await;
    assert!(early.is_err(), "half of the body is missing");
    stream.write_all(b"cd").await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert!(
        answer.contains("\r\nRetry-After: 7\r\n") && answer.contains("\r\nContent-Length: 2\r\n"),
        "{answer}"
    );
    assert_eq!((proxy.requests(), upstream.asked()), (1, 0));
}

#[tokio::test]
async fn who_is_refused_is_not_let_in_until_all_are_admitted() {
    let (_upstream, proxy) = both().await;
    let mut open = connect(&proxy).await;
    assert_eq!(ask(&mut open).await.unwrap(), ANSWER);
    proxy.refuse().await;
    proxy.refuse().await;
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.admit().unwrap();
    proxy.admit().unwrap();
    assert_eq!(ask(&mut connect(&proxy).await).await.unwrap(), ANSWER);
}

/// A request that is under way as the proxy refuses was sent before; one that is sent after is
/// never answered.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_once_all_are_refused() {
    let (_upstream, proxy) = both().await;
    for round in 0..500 {
        let mut open = connect(&proxy).await;
        assert_eq!(ask(&mut open).await.unwrap(), ANSWER);
        proxy.refuse().await;
        let answer = ask(&mut open).await.unwrap_or_default();
        assert!(answer.is_empty(), "round {round}");
        proxy.admit().unwrap();
    }
}

#[tokio::test]
async fn nobody_else_is_given_the_port_of_who_refuses() {
    let (_upstream, proxy) = both().await;
    proxy.refuse().await;
    let taken = TcpListener::bind(proxy.address()).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}

#[test]
fn every_check_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Check::all().iter().map(Check::name).collect();
    assert_eq!(names.len(), Check::all().len());
}
