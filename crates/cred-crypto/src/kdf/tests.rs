//! Tests with a fake derivation that they count, pause and define the result of.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;

/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_secs(20);

struct Harness {
    kdf: Kdf,
    passphrase: Arc<Passphrase>,
    derivations: Arc<AtomicUsize>,
    seconds: Arc<AtomicUsize>,
    /// Each message lets one derivation continue; dropping the sender lets all continue.
    permits: Option<mpsc::Sender<()>>,
    /// Disconnected when the thread has ended.
    thread_alive: mpsc::Receiver<()>,
}

impl Harness {
    fn start(given: Option<[u8; 16]>) -> Self {
        let mut harness = Self::start_paused(&[("k", given)], |salt| {
            Master::fill(|master| {
                master[..16].copy_from_slice(salt);
                Ok(())
            })
        });
        harness.permits = None;
        harness
    }

    fn start_paused(
        given: &[(&str, Option<[u8; 16]>)],
        derive: impl Fn(&[u8; 16]) -> Result<Master, DeriveError> + Send + 'static,
    ) -> Self {
        let derivations = Arc::new(AtomicUsize::new(0));
        let seconds = Arc::new(AtomicUsize::new(0));
        let (permits, gate) = mpsc::channel();
        let (alive, thread_alive) = mpsc::channel();
        let counter = derivations.clone();
        let derive = move |_: &Passphrase, salt: &[u8; 16]| {
            let _alive = &alive;
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = gate.recv();
            derive(salt)
        };
        let (start, elapsed) = (Instant::now(), seconds.clone());
        let clock = move || start + Duration::from_secs(elapsed.load(Ordering::SeqCst).try_into().unwrap());
        let given: Vec<_> = given.iter().map(|(id, salt)| (key_id(id), *salt)).collect();
        Self {
            kdf: Kdf::start(given.into_iter(), Box::new(clock), derive).unwrap(),
            passphrase: Arc::new(Passphrase::new("correct horse".into()).unwrap()),
            derivations,
            seconds,
            permits: Some(permits),
            thread_alive,
        }
    }

    async fn open(&self, number: u16) -> Result<FoundKey, KdfError> {
        self.kdf.for_opening(&key_id("k"), &self.passphrase, salt(number)).await
    }

    async fn open_and_prove(&self, number: u16) -> Result<(), KdfError> {
        let found = self.open(number).await?;
        self.kdf.prove(&key_id("k"), salt(number), found.derived);
        Ok(())
    }

    async fn seal(&self, random: u16) -> Result<[u8; 16], KdfError> {
        let key_id = key_id("k");
        let sealing = self.kdf.for_sealing(&key_id, &self.passphrase, || Ok(salt(random)));
        sealing.await.map(|(_, salt)| salt)
    }

    fn derivations(&self) -> usize {
        self.derivations.load(Ordering::SeqCst)
    }

    fn pass(&self, seconds: usize) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    async fn use_up_the_budget(&self) {
        for number in 1_000..1_008 {
            self.open(number).await.map(drop).unwrap();
        }
        assert_eq!(self.open(1_008).await.map(drop), Err(KdfError::Busy));
    }

    /// Drops the ring, and returns whether its thread then ends.
    fn thread_ends(self) -> bool {
        let Self { kdf, permits, thread_alive, .. } = self;
        drop((kdf, permits));
        thread_alive.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Disconnected)
    }
}

fn key_id(id: &str) -> KeyId {
    id.parse().unwrap()
}

fn salt(number: u16) -> [u8; 16] {
    let mut salt = [0; 16];
    salt[..2].copy_from_slice(&number.to_be_bytes());
    salt
}

/// Polls the future once and drops it, as a caller with a timeout does.
fn poll_once_and_drop(future: impl Future) {
    let poll = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
}

#[tokio::test]
async fn a_salt_is_derived_once() {
    let harness = Harness::start(None);
    for _ in 0..3 {
        let found = harness.open(1).await.unwrap();
        assert_eq!(found.derived.master.as_bytes()[..16], salt(1));
        assert!(!found.proven);
    }
    assert_eq!(harness.derivations(), 1);
}

#[tokio::test]
async fn waiting_callers_share_the_derivation_of_a_salt() {
    let harness = Harness::start_paused(&[("k", None)], |_| Master::fill(|_| Ok(())));
    let permits = harness.permits.as_ref().unwrap();
    let release = async { (0..3).for_each(|_| permits.send(()).unwrap()) };
    let (a, b, c, ()) = tokio::join!(harness.open(1), harness.open(1), harness.open(1), release);
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(harness.derivations(), 1);
}

#[tokio::test]
async fn a_derivation_continues_when_all_waiting_callers_are_dropped() {
    let mut harness = Harness::start_paused(&[("k", None)], |_| Master::fill(|_| Ok(())));
    poll_once_and_drop(harness.open(1));
    poll_once_and_drop(harness.seal(2));
    harness.permits = None;
    assert!(harness.open(1).await.is_ok());
    assert_eq!(harness.seal(3).await, Ok(salt(2)), "the salt that the first sealing chose is kept");
    assert_eq!(harness.derivations(), 2);
}

#[tokio::test]
async fn the_ninth_unproven_salt_is_busy_until_ten_seconds_have_passed() {
    let harness = Harness::start(None);
    harness.use_up_the_budget().await;
    assert!(harness.open(1_000).await.is_ok(), "a derived key stays cached");
    harness.pass(9);
    assert_eq!(harness.open(1).await.map(drop), Err(KdfError::Busy));
    harness.pass(1);
    assert!(harness.open(1).await.is_ok());
    assert_eq!(harness.open(2).await.map(drop), Err(KdfError::Busy));
    assert_eq!(harness.derivations(), 9);
}

#[tokio::test]
async fn proven_salts_do_not_use_up_the_budget() {
    let harness = Harness::start(None);
    for number in 0..100 {
        harness.open_and_prove(number).await.unwrap();
    }
    assert_eq!(harness.derivations(), 100);
    assert!(harness.open(99).await.unwrap().proven);
}

#[tokio::test]
async fn a_proof_is_refunded_once() {
    let harness = Harness::start(None);
    harness.use_up_the_budget().await;
    let (first, second) = (harness.open(1_000).await.unwrap(), harness.open(1_000).await.unwrap());
    harness.kdf.prove(&key_id("k"), salt(1_000), first.derived);
    harness.kdf.prove(&key_id("k"), salt(1_000), second.derived);
    assert!(harness.open(1).await.is_ok());
    assert_eq!(harness.open(2).await.map(drop), Err(KdfError::Busy));
}

#[tokio::test]
async fn eight_keys_of_unproven_salts_are_cached() {
    let harness = Harness::start(None);
    for number in 0..9 {
        harness.pass(10);
        harness.open(number).await.map(drop).unwrap();
    }
    assert_eq!(harness.derivations(), 9);
    for number in 1..9 {
        harness.open(number).await.map(drop).unwrap();
    }
    assert_eq!(harness.derivations(), 9);
    harness.pass(10);
    harness.open(0).await.map(drop).unwrap();
    assert_eq!(harness.derivations(), 10, "the oldest key was evicted");
}

#[tokio::test]
async fn unproven_salts_never_evict_a_proven_one() {
    let harness = Harness::start(Some(salt(0)));
    harness.open_and_prove(1).await.unwrap();
    for number in 2..100 {
        harness.pass(10);
        harness.open(number).await.map(drop).unwrap();
    }
    let before = harness.derivations();
    assert!(harness.open(1).await.unwrap().proven);
    assert_eq!(harness.derivations(), before);
}

#[tokio::test]
async fn proven_keys_are_cached_up_to_1024() {
    let harness = Harness::start(Some(salt(u16::MAX)));
    for number in 0..1_025 {
        harness.open_and_prove(number).await.unwrap();
    }
    assert_eq!(harness.derivations(), 1_025);
    harness.open(1).await.map(drop).unwrap();
    assert_eq!(harness.derivations(), 1_025);
    harness.open(0).await.map(drop).unwrap();
    assert_eq!(harness.derivations(), 1_026, "the least recently used key was evicted");
}

#[tokio::test]
async fn a_configured_salt_is_used_even_if_another_one_is_proven() {
    let harness = Harness::start(Some(salt(7)));
    harness.open_and_prove(1).await.unwrap();
    assert_eq!(harness.seal(2).await, Ok(salt(7)));
}

#[tokio::test]
async fn without_a_configured_salt_the_first_proven_one_is_used() {
    let harness = Harness::start(None);
    harness.open(1).await.map(drop).unwrap();
    harness.open_and_prove(2).await.unwrap();
    harness.open_and_prove(3).await.unwrap();
    assert_eq!(harness.seal(4).await, Ok(salt(2)));
    assert_eq!(harness.derivations(), 3, "the key was already cached");
}

#[tokio::test]
async fn without_a_proven_salt_one_random_salt_is_used() {
    let harness = Harness::start(None);
    assert_eq!(harness.seal(1).await, Ok(salt(1)));
    harness.open_and_prove(2).await.unwrap();
    assert_eq!(harness.seal(3).await, Ok(salt(1)));
    assert_eq!(harness.derivations(), 2);
}

#[tokio::test]
async fn sealing_continues_while_unproven_salts_have_used_up_the_budget() {
    for given in [Some(salt(1)), None] {
        let harness = Harness::start(given);
        harness.use_up_the_budget().await;
        assert_eq!(harness.seal(1).await, Ok(salt(1)));
        assert!(harness.open(1).await.unwrap().proven, "the ring opens what it sealed itself");
    }
}

#[tokio::test]
async fn a_full_queue_is_busy_and_does_not_use_up_the_budget() {
    let ids: Vec<_> = (0..=QUEUE).map(|number| format!("k{number}")).collect();
    let given: Vec<_> = ids.iter().map(|id| (id.as_str(), Some(salt(1)))).collect();
    let harness = Harness::start_paused(&given, |_| Master::fill(|_| Ok(())));
    let own = |id| harness.kdf.for_sealing(id, &harness.passphrase, || Ok(salt(1)));
    let ids: Vec<_> = ids.iter().map(|id| key_id(id)).collect();

    poll_once_and_drop(own(&ids[0]));
    while harness.derivations() == 0 {
        thread::yield_now();
    }
    // The thread runs the first derivation; the queue is filled with others.
    ids[1..].iter().for_each(|id| poll_once_and_drop(own(id)));
    assert_eq!(harness.open(1).await.map(drop), Err(KdfError::Busy));

    let permits = harness.permits.as_ref().unwrap();
    ids.iter().for_each(|_| permits.send(()).unwrap());
    own(&ids[QUEUE]).await.map(drop).unwrap();
    // The refused derivation was refunded, so all eight are available.
    (0..8).for_each(|_| permits.send(()).unwrap());
    for number in 0..8 {
        harness.open(number).await.map(drop).unwrap();
    }
    assert_eq!(harness.open(8).await.map(drop), Err(KdfError::Busy));
}

#[tokio::test]
async fn a_derivation_without_memory_is_refunded_and_can_be_retried() {
    let mut harness = Harness::start_paused(&[("k", None)], |_| Err(DeriveError::OutOfMemory));
    harness.permits = None;
    for _ in 0..20 {
        assert_eq!(harness.open(1).await.map(drop), Err(KdfError::OutOfMemory));
    }
    assert_eq!(harness.derivations(), 20);
}

#[tokio::test]
async fn a_panic_in_the_thread_fails_waiting_and_later_callers() {
    let harness = Harness::start_paused(&[("k", None)], |_| panic!("a derivation that panics"));
    let release = async { harness.permits.as_ref().unwrap().send(()).unwrap() };
    let (first, second, ()) = tokio::join!(harness.open(1), harness.open(2), release);
    assert_eq!(first.map(drop), Err(KdfError::Broken));
    assert_eq!(second.map(drop), Err(KdfError::Broken));
    for number in 1..20 {
        assert_eq!(harness.open(number).await.map(drop), Err(KdfError::Broken));
    }
}

#[tokio::test]
async fn the_thread_ends_with_the_ring() {
    let harness = Harness::start(None);
    harness.open(1).await.map(drop).unwrap();
    assert!(harness.thread_ends());
}

#[tokio::test]
async fn the_thread_ends_with_the_ring_and_skips_queued_derivations() {
    let harness = Harness::start_paused(&[("k", None)], |_| Master::fill(|_| Ok(())));
    (0..8).for_each(|number| poll_once_and_drop(harness.open(number)));
    while harness.derivations() == 0 {
        thread::yield_now();
    }
    let derivations = harness.derivations.clone();
    assert!(harness.thread_ends());
    assert_eq!(derivations.load(Ordering::SeqCst), 1);
}
