//! What the cache's one lock guards: loads that can be joined, and times in which nothing is kept.

use std::collections::HashMap;

use cred_core::{CredentialPath, PathRef};
use tokio::sync::watch;

use super::Loaded;
use crate::windows::NoCacheWindows;

/// Where the readers of one load find its answer. It survives every one of them.
pub(crate) type LoadAnswer = watch::Receiver<Option<Loaded>>;

#[derive(Default)]
pub(super) struct LoadTable {
    pub(super) in_flight: HashMap<CredentialPath, InFlightLoad>,
    pub(super) quiet: NoCacheWindows,
    flown: u64,
}

/// A load that readers can join. Its number tells it from a later one of the same path.
pub(super) struct InFlightLoad {
    number: u64,
    answer: LoadAnswer,
}

impl InFlightLoad {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn answer(&self) -> LoadAnswer {
        self.answer.clone()
    }
}

impl LoadTable {
    pub(super) fn new_load(&mut self) -> (InFlightLoad, watch::Sender<Option<Loaded>>, LoadAnswer) {
        self.flown = self.flown.wrapping_add(1);
        let (sender, answer) = watch::channel(None);
        (InFlightLoad { number: self.flown, answer: answer.clone() }, sender, answer)
    }

    /// Lets nobody join the path's load any more, and lets it keep nothing.
    pub(super) fn unlink(&mut self, path: PathRef<'_>) -> Option<InFlightLoad> {
        self.in_flight.remove(&path.to_owned())
    }
}
