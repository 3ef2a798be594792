//! What the cache's one lock guards: loads that can be joined, and times in which nothing is kept.

use std::collections::HashMap;

use cred_core::{CredentialPath, PathRef};
use tokio::sync::watch;

use super::Loaded;
use crate::quiet::QuietTimes;

/// Where the readers of one load find its answer. It survives every one of them.
pub(crate) type Answer = watch::Receiver<Option<Loaded>>;

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) flights: HashMap<CredentialPath, Flight>,
    pub(super) quiet: QuietTimes,
    flown: u64,
}

/// A load that readers can join. Its number tells it from a later one of the same path.
pub(super) struct Flight {
    number: u64,
    answer: Answer,
}

impl Flight {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn answer(&self) -> Answer {
        self.answer.clone()
    }
}

impl Ledger {
    pub(super) fn new_flight(&mut self) -> (Flight, watch::Sender<Option<Loaded>>, Answer) {
        self.flown = self.flown.wrapping_add(1);
        let (sender, answer) = watch::channel(None);
        (Flight { number: self.flown, answer: answer.clone() }, sender, answer)
    }

    /// Lets nobody join the path's load any more, and lets it keep nothing.
    pub(super) fn unlink(&mut self, path: PathRef<'_>) -> Option<Flight> {
        self.flights.remove(&path.to_owned())
    }
}
