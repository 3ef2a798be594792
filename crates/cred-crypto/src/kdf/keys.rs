//! The cache of passphrase keys: proven salts, derived keys, and derivations in progress.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cred_core::KeyId;
use lru::LruCache;

use super::budget::Budget;
use super::{KdfError, OutcomeReceiver};
use crate::master::Master;

/// Identifies a derived key: the key id of the passphrase and the salt.
pub(super) type SaltedKeyId = (KeyId, [u8; 16]);

/// A derived key.
pub(crate) struct DerivedKey {
    pub(crate) master: Master,
    /// Whether the budget was charged for it and not refunded yet.
    pub(super) charged: AtomicBool,
}

/// A derived key, and whether an envelope has proven its salt.
pub(crate) struct FoundKey {
    pub(crate) derived: Arc<DerivedKey>,
    pub(crate) proven: bool,
}

pub(super) struct KeyCache {
    sealing: BTreeMap<KeyId, SealingSalt>,
    /// Keys of salts under which a holder of the passphrase has sealed.
    proven: LruCache<SaltedKeyId, Arc<DerivedKey>>,
    /// Keys of other salts. A principal that can write to the backend can fill this cache.
    unproven: LruCache<SaltedKeyId, Arc<DerivedKey>>,
    pub(super) in_progress: HashMap<SaltedKeyId, OutcomeReceiver>,
    budget: Budget,
}

/// The salt and the key under which a key id seals, once they are known. They are never evicted.
#[derive(Default)]
struct SealingSalt {
    salt: Option<[u8; 16]>,
    derived: Option<Arc<DerivedKey>>,
}

impl KeyCache {
    /// Maximum number of cached keys of proven salts. Each has 32 bytes and saves a derivation.
    pub(super) const PROVEN: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
    /// Maximum number of cached keys of unproven salts: as many as the budget allows at once.
    pub(super) const UNPROVEN: NonZeroUsize = NonZeroUsize::new(8).unwrap();

    pub(super) fn new(given: impl Iterator<Item = (KeyId, Option<[u8; 16]>)>, now: Instant) -> Self {
        Self {
            sealing: given.map(|(key_id, salt)| (key_id, SealingSalt { salt, derived: None })).collect(),
            proven: LruCache::new(Self::PROVEN),
            unproven: LruCache::new(Self::UNPROVEN),
            in_progress: HashMap::new(),
            budget: Budget::full(now),
        }
    }

    /// Returns the salt under which this key id seals. If it is not chosen yet, it becomes
    /// `random`.
    pub(super) fn choose_salt(&mut self, key_id: &KeyId, random: [u8; 16]) -> [u8; 16] {
        *self.sealing.entry(key_id.clone()).or_default().salt.get_or_insert(random)
    }

    /// Returns the salt under which this key id seals, if it is chosen.
    pub(super) fn sealing_salt(&self, key_id: &KeyId) -> Option<[u8; 16]> {
        self.sealing.get(key_id).and_then(|sealing| sealing.salt)
    }

    pub(super) fn find(&mut self, salted: &SaltedKeyId) -> Option<FoundKey> {
        let proven = self
            .sealing
            .get(&salted.0)
            .filter(|sealing| sealing.salt == Some(salted.1))
            .and_then(|sealing| sealing.derived.as_ref())
            .or_else(|| self.proven.get(salted));
        match proven {
            Some(derived) => Some(FoundKey { derived: derived.clone(), proven: true }),
            None => {
                self.unproven.get(salted).map(|derived| FoundKey { derived: derived.clone(), proven: false })
            }
        }
    }

    /// Charges the budget for a derivation, except for a salt under which this ring itself seals.
    ///
    /// Returns whether the budget was charged.
    pub(super) fn charge(&mut self, salted: &SaltedKeyId, now: Instant) -> Result<bool, KdfError> {
        if self.sealing_salt(&salted.0) == Some(salted.1) {
            return Ok(false);
        }
        match self.budget.take(now) {
            true => Ok(true),
            false => Err(KdfError::Busy),
        }
    }

    /// Refunds a derivation that proved its salt or did not take place.
    pub(super) fn refund(&mut self) {
        self.budget.refund();
    }

    /// Caches a derived key.
    pub(super) fn keep(&mut self, salted: &SaltedKeyId, derived: Arc<DerivedKey>) {
        match self.sealing.get_mut(&salted.0) {
            Some(sealing) if sealing.salt == Some(salted.1) => sealing.derived = Some(derived),
            _ => drop(self.unproven.put(salted.clone(), derived)),
        }
    }

    /// Records that the commitment of an envelope matched this key.
    pub(super) fn prove(&mut self, salted: SaltedKeyId, derived: Arc<DerivedKey>) {
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
