//! Keys from passphrases: derived one at a time on a thread of the ring's own, and kept.

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

pub(crate) use keys::Found;
use keys::{Derived, Keys, Salted};

/// Derives and keeps the keys of a ring's passphrases. The thread ends when this is dropped, after
/// the derivation that it is in.
pub(crate) struct Kdf(Arc<Shared>);

struct Shared {
    /// Locked for look-ups only, never while something is derived or awaited.
    keys: Mutex<Keys>,
    jobs: SyncSender<Job>,
    now: Clock,
}

pub(crate) type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// A derivation that is asked for.
struct Job {
    passphrase: Arc<Passphrase>,
    salted: Salted,
    charged: bool,
    done: watch::Sender<Option<Outcome>>,
}

type Outcome = Result<Arc<Derived>, DeriveError>;

/// Gives the outcome of a derivation to all who wait for it. Dropping it leaves the derivation
/// going.
type Waiting = watch::Receiver<Option<Outcome>>;

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KdfError {
    /// The budget is used up or the queue is full.
    Busy,
    OutOfMemory,
    /// The system gave no random salt.
    Random,
    /// The thread has ended or Argon2id refused: defects.
    Broken,
}

/// How many derivations may wait for the thread. The budget lets through fewer for strangers'
/// salts; the rest is for the ring's own.
const QUEUE: usize = 16;

impl Kdf {
    /// Starts the thread. `given` are the ids of the passphrases, with the salts to seal under
    /// where they are set.
    pub(crate) fn start(
        given: impl Iterator<Item = (KeyId, Option<[u8; 16]>)>,
        now: Clock,
        derive: impl Fn(&Passphrase, &[u8; 16]) -> Result<Master, DeriveError> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let shared = Arc::new(Shared { keys: Mutex::new(Keys::new(given, now())), jobs, now });
        let weak = Arc::downgrade(&shared);
        thread::Builder::new().name("cred-kdf".into()).spawn(move || work(&queue, &weak, derive))?;
        Ok(Self(shared))
    }

    /// The salt that this key id seals under; `None`: not decided yet.
    pub(crate) fn sealing_salt(&self, key_id: &KeyId) -> Option<[u8; 16]> {
        self.0.keys().sealing_salt(key_id)
    }

    /// The key to seal under, and its salt; `random` becomes the salt where none is given or proven
    /// yet.
    ///
    /// Dropping the future harms nothing: the derivation goes on for the next who asks.
    pub(crate) async fn for_sealing(
        &self,
        key_id: &KeyId,
        passphrase: &Arc<Passphrase>,
        random: impl FnOnce() -> Result<[u8; 16], KdfError>,
    ) -> Result<(Arc<Derived>, [u8; 16]), KdfError> {
        let salt = match self.sealing_salt(key_id) {
            Some(salt) => salt,
            None => {
                let random = random()?;
                self.0.keys().decide_salt(key_id, random)
            }
        };
        let found = self.for_opening(key_id, passphrase, salt).await?;
        Ok((found.derived, salt))
    }

    /// The key of this salt.
    ///
    /// Dropping the future harms nothing: the derivation goes on for the next who asks.
    pub(crate) async fn for_opening(
        &self,
        key_id: &KeyId,
        passphrase: &Arc<Passphrase>,
        kdf_salt: [u8; 16],
    ) -> Result<Found, KdfError> {
        let salted = (key_id.clone(), kdf_salt);
        let mut waiting = {
            let mut keys = self.0.keys();
            if let Some(found) = keys.find(&salted) {
                return Ok(found);
            }
            match keys.under_way.get(&salted) {
                Some(waiting) => waiting.clone(),
                None => self.0.begin(&mut keys, passphrase, salted)?,
            }
        };
        // No deadline of its own: at most QUEUE derivations are ahead.
        let outcome = waiting.wait_for(Option::is_some).await.map_err(|_| KdfError::Broken)?.clone();
        match outcome {
            Some(Ok(derived)) => Ok(Found { derived, proven: false }),
            Some(Err(DeriveError::OutOfMemory)) => Err(KdfError::OutOfMemory),
            Some(Err(DeriveError::Refused(_))) | None => Err(KdfError::Broken),
        }
    }

    /// Notes that an envelope's commitment matched this key.
    pub(crate) fn prove(&self, key_id: &KeyId, kdf_salt: [u8; 16], derived: Arc<Derived>) {
        self.0.keys().prove((key_id.clone(), kdf_salt), derived);
    }
}

impl Shared {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        // What panics under this lock leaves nothing half done that could be relied upon.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(
        &self,
        keys: &mut Keys,
        passphrase: &Arc<Passphrase>,
        salted: Salted,
    ) -> Result<Waiting, KdfError> {
        let charged = keys.charge(&salted, (self.now)())?;
        let (done, waiting) = watch::channel(None);
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
        keys.under_way.insert(salted, waiting.clone());
        Ok(waiting)
    }

    fn finish(&self, job: Job, outcome: Result<Master, DeriveError>) {
        let outcome = outcome.map(|master| Arc::new(Derived { master, charged: job.charged.into() }));
        let mut keys = self.keys();
        keys.under_way.remove(&job.salted);
        match &outcome {
            Ok(derived) => keys.keep(&job.salted, derived.clone()),
            Err(_) if job.charged => keys.refund(),
            Err(_) => {}
        }
        drop(keys);
        job.done.send_replace(Some(outcome));
    }
}

/// The thread. It holds the ring only between derivations, so that it does not keep it alive.
fn work(
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
