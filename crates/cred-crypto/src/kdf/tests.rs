//! With a derivation that is counted, held back and answered as each test likes.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;

/// How long something that must happen may take before it counts as never happening.
const PATIENCE: Duration = Duration::from_secs(20);

struct Lab {
    kdf: Kdf,
    passphrase: Arc<Passphrase>,
    derivations: Arc<AtomicUsize>,
    seconds: Arc<AtomicUsize>,
    /// Each message lets one derivation go on; dropping it lets all.
    permits: Option<mpsc::Sender<()>>,
    /// Says that the thread is gone.
    thread_alive: mpsc::Receiver<()>,
}

impl Lab {
    fn start(given: Option<[u8; 16]>) -> Self {
        let mut lab = Self::start_held(&[("k", given)], |salt| {
            Master::fill(|master| {
                master[..16].copy_from_slice(salt);
                Ok(())
            })
        });
        lab.permits = None;
        lab
    }

    fn start_held(
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

    async fn open(&self, number: u16) -> Result<Found, KdfError> {
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

    /// Drops everything of the ring; whether its thread has then ended.
    fn ends(self) -> bool {
        let Self { kdf, permits, thread_alive, .. } = self;
        drop((kdf, permits));
        thread_alive.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Disconnected)
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

/// Polls once and lets go: what a caller with a timeout does.
fn start_and_leave(future: impl Future) {
    let poll = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll.is_pending());
}

#[tokio::test]
async fn a_salt_is_derived_once() {
    let lab = Lab::start(None);
    for _ in 0..3 {
        let found = lab.open(1).await.unwrap();
        assert_eq!(found.derived.master.as_bytes()[..16], salt(1));
        assert!(!found.proven);
    }
    assert_eq!(lab.derivations(), 1);
}

#[tokio::test]
async fn all_who_wait_for_a_salt_share_its_derivation() {
    let lab = Lab::start_held(&[("k", None)], |_| Master::fill(|_| Ok(())));
    let permits = lab.permits.as_ref().unwrap();
    let release = async { (0..3).for_each(|_| permits.send(()).unwrap()) };
    let (a, b, c, ()) = tokio::join!(lab.open(1), lab.open(1), lab.open(1), release);
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(lab.derivations(), 1);
}

#[tokio::test]
async fn a_derivation_goes_on_when_everybody_who_waited_has_left() {
    let mut lab = Lab::start_held(&[("k", None)], |_| Master::fill(|_| Ok(())));
    start_and_leave(lab.open(1));
    start_and_leave(lab.seal(2));
    lab.permits = None;
    assert!(lab.open(1).await.is_ok());
    assert_eq!(lab.seal(3).await, Ok(salt(2)), "the salt that the first sealing chose stays chosen");
    assert_eq!(lab.derivations(), 2);
}

#[tokio::test]
async fn the_ninth_unproven_salt_is_busy_until_ten_seconds_have_passed() {
    let lab = Lab::start(None);
    lab.use_up_the_budget().await;
    assert!(lab.open(1_000).await.is_ok(), "what is derived stays readable");
    lab.pass(9);
    assert_eq!(lab.open(1).await.map(drop), Err(KdfError::Busy));
    lab.pass(1);
    assert!(lab.open(1).await.is_ok());
    assert_eq!(lab.open(2).await.map(drop), Err(KdfError::Busy));
    assert_eq!(lab.derivations(), 9);
}

#[tokio::test]
async fn proven_salts_cost_nothing() {
    let lab = Lab::start(None);
    for number in 0..100 {
        lab.open_and_prove(number).await.unwrap();
    }
    assert_eq!(lab.derivations(), 100);
    assert!(lab.open(99).await.unwrap().proven);
}

#[tokio::test]
async fn a_proof_is_refunded_once() {
    let lab = Lab::start(None);
    lab.use_up_the_budget().await;
    let (first, second) = (lab.open(1_000).await.unwrap(), lab.open(1_000).await.unwrap());
    lab.kdf.prove(&key_id("k"), salt(1_000), first.derived);
    lab.kdf.prove(&key_id("k"), salt(1_000), second.derived);
    assert!(lab.open(1).await.is_ok());
    assert_eq!(lab.open(2).await.map(drop), Err(KdfError::Busy));
}

#[tokio::test]
async fn eight_keys_of_unproven_salts_are_kept() {
    let lab = Lab::start(None);
    for number in 0..9 {
        lab.pass(10);
        lab.open(number).await.map(drop).unwrap();
    }
    assert_eq!(lab.derivations(), 9);
    for number in 1..9 {
        lab.open(number).await.map(drop).unwrap();
    }
    assert_eq!(lab.derivations(), 9);
    lab.pass(10);
    lab.open(0).await.map(drop).unwrap();
    assert_eq!(lab.derivations(), 10, "the oldest was let go");
}

#[tokio::test]
async fn unproven_salts_never_push_a_proven_one_out() {
    let lab = Lab::start(Some(salt(0)));
    lab.open_and_prove(1).await.unwrap();
    for number in 2..100 {
        lab.pass(10);
        lab.open(number).await.map(drop).unwrap();
    }
    let before = lab.derivations();
    assert!(lab.open(1).await.unwrap().proven);
    assert_eq!(lab.derivations(), before);
}

#[tokio::test]
async fn a_thousand_and_twenty_four_proven_keys_are_kept() {
    let lab = Lab::start(Some(salt(u16::MAX)));
    for number in 0..1_025 {
        lab.open_and_prove(number).await.unwrap();
    }
    assert_eq!(lab.derivations(), 1_025);
    lab.open(1).await.map(drop).unwrap();
    assert_eq!(lab.derivations(), 1_025);
    lab.open(0).await.map(drop).unwrap();
    assert_eq!(lab.derivations(), 1_026, "the one that was used the longest ago was let go");
}

#[tokio::test]
async fn a_given_salt_is_sealed_under_whatever_is_proven() {
    let lab = Lab::start(Some(salt(7)));
    lab.open_and_prove(1).await.unwrap();
    assert_eq!(lab.seal(2).await, Ok(salt(7)));
}

#[tokio::test]
async fn without_a_given_salt_the_first_proven_one_is_sealed_under() {
    let lab = Lab::start(None);
    lab.open(1).await.map(drop).unwrap();
    lab.open_and_prove(2).await.unwrap();
    lab.open_and_prove(3).await.unwrap();
    assert_eq!(lab.seal(4).await, Ok(salt(2)));
    assert_eq!(lab.derivations(), 3, "the key was there already");
}

#[tokio::test]
async fn without_a_proven_salt_one_random_salt_is_sealed_under() {
    let lab = Lab::start(None);
    assert_eq!(lab.seal(1).await, Ok(salt(1)));
    lab.open_and_prove(2).await.unwrap();
    assert_eq!(lab.seal(3).await, Ok(salt(1)));
    assert_eq!(lab.derivations(), 2);
}

#[tokio::test]
async fn sealing_goes_on_while_strangers_have_used_up_the_budget() {
    for given in [Some(salt(1)), None] {
        let lab = Lab::start(given);
        lab.use_up_the_budget().await;
        assert_eq!(lab.seal(1).await, Ok(salt(1)));
        assert!(lab.open(1).await.unwrap().proven, "what the ring itself seals it opens");
    }
}

#[tokio::test]
async fn a_full_queue_is_busy_and_costs_nothing() {
    let ids: Vec<_> = (0..=QUEUE).map(|number| format!("k{number}")).collect();
    let given: Vec<_> = ids.iter().map(|id| (id.as_str(), Some(salt(1)))).collect();
    let lab = Lab::start_held(&given, |_| Master::fill(|_| Ok(())));
    let own = |id| lab.kdf.for_sealing(id, &lab.passphrase, || Ok(salt(1)));
    let ids: Vec<_> = ids.iter().map(|id| key_id(id)).collect();

    start_and_leave(own(&ids[0]));
    while lab.derivations() == 0 {
        thread::yield_now();
    }
    // The thread is in the first one; the queue takes as many as it may.
    ids[1..].iter().for_each(|id| start_and_leave(own(id)));
    assert_eq!(lab.open(1).await.map(drop), Err(KdfError::Busy));

    let permits = lab.permits.as_ref().unwrap();
    ids.iter().for_each(|_| permits.send(()).unwrap());
    own(&ids[QUEUE]).await.map(drop).unwrap();
    // The refused one gave its charge back: all eight are there.
    (0..8).for_each(|_| permits.send(()).unwrap());
    for number in 0..8 {
        lab.open(number).await.map(drop).unwrap();
    }
    assert_eq!(lab.open(8).await.map(drop), Err(KdfError::Busy));
}

#[tokio::test]
async fn a_derivation_without_memory_is_refunded_and_tried_again() {
    let mut lab = Lab::start_held(&[("k", None)], |_| Err(DeriveError::OutOfMemory));
    lab.permits = None;
    for _ in 0..20 {
        assert_eq!(lab.open(1).await.map(drop), Err(KdfError::OutOfMemory));
    }
    assert_eq!(lab.derivations(), 20);
}

#[tokio::test]
async fn a_panic_in_the_thread_fails_all_who_wait_and_who_come_later() {
    let lab = Lab::start_held(&[("k", None)], |_| panic!("as it never should"));
    let release = async { lab.permits.as_ref().unwrap().send(()).unwrap() };
    let (first, second, ()) = tokio::join!(lab.open(1), lab.open(2), release);
    assert_eq!(first.map(drop), Err(KdfError::Broken));
    assert_eq!(second.map(drop), Err(KdfError::Broken));
    for number in 1..20 {
        assert_eq!(lab.open(number).await.map(drop), Err(KdfError::Broken));
    }
}

#[tokio::test]
async fn the_thread_ends_with_the_ring() {
    let lab = Lab::start(None);
    lab.open(1).await.map(drop).unwrap();
    assert!(lab.ends());
}

#[tokio::test]
async fn the_thread_ends_with_the_ring_without_what_is_still_queued() {
    let lab = Lab::start_held(&[("k", None)], |_| Master::fill(|_| Ok(())));
    (0..8).for_each(|number| start_and_leave(lab.open(number)));
    while lab.derivations() == 0 {
        thread::yield_now();
    }
    let derivations = lab.derivations.clone();
    assert!(lab.ends());
    assert_eq!(derivations.load(Ordering::SeqCst), 1);
}
