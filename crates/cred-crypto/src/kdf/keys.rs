//! What is known of passphrase keys: which salts are proven, what was derived, what is being
//! derived.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cred_core::KeyId;
use lru::LruCache;

use super::budget::Budget;
use super::{KdfError, Waiting};
use crate::master::Master;

/// A key derived from a passphrase is named by the passphrase's key id and the salt.
pub(super) type Salted = (KeyId, [u8; 16]);

/// A derived key.
pub(crate) struct Derived {
    pub(crate) master: Master,
    /// Whether the budget paid for it, and was not refunded yet.
    pub(super) charged: AtomicBool,
}

/// A derived key, and whether an envelope has proven its salt.
pub(crate) struct Found {
    pub(crate) derived: Arc<Derived>,
    pub(crate) proven: bool,
}

pub(super) struct Keys {
    sealing: BTreeMap<KeyId, Sealing>,
    /// Only the keys of salts that a holder of the passphrase has sealed under get in here.
    proven: LruCache<Salted, Arc<Derived>>,
    /// Anybody who can write to the backend can fill this one.
    unproven: LruCache<Salted, Arc<Derived>>,
    pub(super) under_way: HashMap<Salted, Waiting>,
    budget: Budget,
}

/// What one key id seals under, once that is decided. Never evicted.
#[derive(Default)]
struct Sealing {
    salt: Option<[u8; 16]>,
    derived: Option<Arc<Derived>>,
}

impl Keys {
    /// How many keys of proven salts are kept: 32 bytes each, and each costs a derivation to have
    /// again.
    pub(super) const PROVEN: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
    /// How many keys of unproven salts are kept: as many as the budget can pay for at once.
    pub(super) const UNPROVEN: NonZeroUsize = NonZeroUsize::new(8).unwrap();

    pub(super) fn new(given: impl Iterator<Item = (KeyId, Option<[u8; 16]>)>, now: Instant) -> Self {
        Self {
            sealing: given.map(|(key_id, salt)| (key_id, Sealing { salt, derived: None })).collect(),
            proven: LruCache::new(Self::PROVEN),
            unproven: LruCache::new(Self::UNPROVEN),
            under_way: HashMap::new(),
            budget: Budget::full(now),
        }
    }

    /// The salt that this key id seals under, decided now if it was not: `random` is taken then.
    pub(super) fn decide_salt(&mut self, key_id: &KeyId, random: [u8; 16]) -> [u8; 16] {
        *self.sealing.entry(key_id.clone()).or_default().salt.get_or_insert(random)
    }

    /// The salt that this key id seals under, if that is decided.
    pub(super) fn sealing_salt(&self, key_id: &KeyId) -> Option<[u8; 16]> {
        self.sealing.get(key_id).and_then(|sealing| sealing.salt)
    }

    pub(super) fn find(&mut self, salted: &Salted) -> Option<Found> {
        let proven = self
            .sealing
            .get(&salted.0)
            .filter(|sealing| sealing.salt == Some(salted.1))
            .and_then(|sealing| sealing.derived.as_ref())
            .or_else(|| self.proven.get(salted));
        match proven {
            Some(derived) => Some(Found { derived: derived.clone(), proven: true }),
            None => {
                self.unproven.get(salted).map(|derived| Found { derived: derived.clone(), proven: false })
            }
        }
    }

    /// Pays for a derivation: nothing for a salt that this ring itself seals under.
    ///
    /// Gives whether the budget was charged.
    pub(super) fn charge(&mut self, salted: &Salted, now: Instant) -> Result<bool, KdfError> {
        if self.sealing_salt(&salted.0) == Some(salted.1) {
            return Ok(false);
        }
        match self.budget.take(now) {
            true => Ok(true),
            false => Err(KdfError::Busy),
        }
    }

    /// Gives back what a derivation cost that proved its salt, or that did not take place.
    pub(super) fn refund(&mut self) {
        self.budget.refund();
    }

    /// Keeps what was derived.
    pub(super) fn keep(&mut self, salted: &Salted, derived: Arc<Derived>) {
        match self.sealing.get_mut(&salted.0) {
            Some(sealing) if sealing.salt == Some(salted.1) => sealing.derived = Some(derived),
            _ => drop(self.unproven.put(salted.clone(), derived)),
        }
    }

    /// Notes that an envelope's commitment matched this key.
    pub(super) fn prove(&mut self, salted: Salted, derived: Arc<Derived>) {
        if derived.charged.swap(false, Ordering::Relaxed) {
            self.refund();
        }
        self.unproven.pop(&salted);
        let sealing = self.sealing.entry(salted.0.clone()).or_default();
        if *sealing.salt.get_or_insert(salted.1) == salted.1 {
            sealing.derived = Some(derived);
        } else {
            self.proven.put(salted, derived);
        }
    }
}
