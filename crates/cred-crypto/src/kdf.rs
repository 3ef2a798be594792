//! Keys from passphrases, derived one at a time on a separate thread and cached.

mod budget;
mod keys;

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use std::{io, thread};

use cred_core::KeyId;
use tokio::sync::watch;

use crate::master::Master;
use crate::passphrase::{DeriveError, Passphrase};

pub(crate) use keys::FoundKey;
use keys::{DerivedKey, KeyCache, SaltedKeyId};

/// Derives and caches the keys of a ring's passphrases. When this is dropped, the thread ends after
/// its current derivation.
pub(crate) struct Kdf(Arc<Shared>);

struct Shared {
    /// Locked only for lookups, never during a derivation or an `.await`.
    keys: Mutex<KeyCache>,
    jobs: SyncSender<Job>,
    now: Clock,
}

pub(crate) type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A requested derivation.
struct Job {
    passphrase: Arc<Passphrase>,
    salted: SaltedKeyId,
    charged: bool,
    done: watch::Sender<Option<Outcome>>,
}

type Outcome = Result<Arc<DerivedKey>, DeriveError>;

/// Receives the outcome of a derivation; several callers can wait for the same one. Dropping it
/// does not stop the derivation.
type OutcomeReceiver = watch::Receiver<Option<Outcome>>;

/// The error when no key is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KdfError {
    /// The derivation budget is used up, or the queue is full.
    Busy,
    OutOfMemory,
    /// The system's random source failed.
    Random,
    /// The thread has ended, or Argon2id refused its input. Both are defects.
    Broken,
}

/// Maximum number of derivations that wait for the thread. The budget allows fewer for unproven
/// salts, so there is room for the salts of the ring itself.
const QUEUE: usize = 16;

impl Kdf {
    /// Starts the thread. `given` are the ids of the passphrases, with their salts for sealing if
    /// configured.
    pub(crate) fn start(
        given: impl Iterator<Item = (KeyId, Option<[u8; 16]>)>,
        now: Clock,
        derive: impl Fn(&Passphrase, &[u8; 16]) -> Result<Master, DeriveError> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let shared = Arc::new(Shared { keys: Mutex::new(KeyCache::new(given, now())), jobs, now });
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("cred-kdf".into())
            .spawn(move || run_derivations(&queue, &weak, derive))?;
        Ok(Self(shared))
    }

    /// Returns the salt under which this key id seals; `None`: not chosen yet.
    pub(crate) fn sealing_salt(&self, key_id: &KeyId) -> Option<[u8; 16]> {
        self.0.keys().sealing_salt(key_id)
    }

    /// Returns the key for sealing and its salt. If no salt is configured or proven yet, it chooses
    /// the salt from `random`.
    ///
    /// Dropping the future does not stop the derivation; a later call uses its result.
    pub(crate) async fn for_sealing(
        &self,
        key_id: &KeyId,
        passphrase: &Arc<Passphrase>,
        random: impl FnOnce() -> Result<[u8; 16], KdfError>,
    ) -> Result<(Arc<DerivedKey>, [u8; 16]), KdfError> {
        let salt = match self.sealing_salt(key_id) {
            Some(salt) => salt,
            None => {
                let random = random()?;
                self.0.keys().choose_salt(key_id, random)
            }
        };
        let found = self.for_opening(key_id, passphrase, salt).await?;
        Ok((found.derived, salt))
    }

    /// Returns the key for this salt.
    ///
    /// Dropping the future does not stop the derivation; a later call uses its result.
    pub(crate) async fn for_opening(
        &self,
        key_id: &KeyId,
        passphrase: &Arc<Passphrase>,
        kdf_salt: [u8; 16],
    ) -> Result<FoundKey, KdfError> {
        let salted = (key_id.clone(), kdf_salt);
        let mut receiver = {
            let mut keys = self.0.keys();
            if let Some(found) = keys.find(&salted) {
                return Ok(found);
            }
            match keys.in_progress.get(&salted) {
                Some(receiver) => receiver.clone(),
                None => self.0.start_derivation(&mut keys, passphrase, salted)?,
            }
        };
        // No deadline is needed: at most QUEUE derivations are ahead.
        let outcome = receiver.wait_for(Option::is_some).await.map_err(|_| KdfError::Broken)?.clone();
        match outcome {
            Some(Ok(derived)) => Ok(FoundKey { derived, proven: false }),
            Some(Err(DeriveError::OutOfMemory)) => Err(KdfError::OutOfMemory),
            Some(Err(DeriveError::Refused(_))) | None => Err(KdfError::Broken),
        }
    }

    /// Records that the commitment of an envelope matched this key.
    pub(crate) fn prove(&self, key_id: &KeyId, kdf_salt: [u8; 16], derived: Arc<DerivedKey>) {
        self.0.keys().prove((key_id.clone(), kdf_salt), derived);
    }
}

impl Shared {
    fn keys(&self) -> MutexGuard<'_, KeyCache> {
        // A panic under this lock does not leave the cache inconsistent.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_derivation(
        &self,
        keys: &mut KeyCache,
        passphrase: &Arc<Passphrase>,
        salted: SaltedKeyId,
    ) -> Result<OutcomeReceiver, KdfError> {
        let charged = keys.charge(&salted, (self.now)())?;
        let (done, receiver) = watch::channel(None);
        let job = Job { passphrase: passphrase.clone(), salted: salted.clone(), charged, done };
        if let Err(refused) = self.jobs.try_send(job) {
            if charged {
                keys.refund();
            }
            return Err(match refused {
                TrySendError::Full(_) => KdfError::Busy,
                TrySendError::Disconnected(_) => KdfError::Broken,
            });
        }
        keys.in_progress.insert(salted, receiver.clone());
        Ok(receiver)
    }

    fn finish(&self, job: Job, outcome: Result<Master, DeriveError>) {
        let outcome = outcome.map(|master| Arc::new(DerivedKey { master, charged: job.charged.into() }));
        let mut keys = self.keys();
        keys.in_progress.remove(&job.salted);
        match &outcome {
            Ok(derived) => keys.keep(&job.salted, derived.clone()),
            Err(_) if job.charged => keys.refund(),
            Err(_) => {}
        }
        drop(keys);
        job.done.send_replace(Some(outcome));
    }
}

/// The loop of the thread. It has a strong reference to the ring only between derivations, so it
/// does not keep the ring alive.
fn run_derivations(
    queue: &Receiver<Job>,
    shared: &Weak<Shared>,
    derive: impl Fn(&Passphrase, &[u8; 16]) -> Result<Master, DeriveError>,
) {
    while let Ok(job) = queue.recv() {
        let outcome = derive(&job.passphrase, &job.salted.1);
        let Some(shared) = shared.upgrade() else { return };
        shared.finish(job, outcome);
    }
}

#[cfg(test)]
mod tests;
