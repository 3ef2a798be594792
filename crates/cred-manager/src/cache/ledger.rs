//! What the cache's one lock guards: loads that can be joined, and times in which nothing is kept.

use std::collections::HashMap;
use std::time::Duration;

use cred_core::{CredentialPath, PathRef};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Loaded, later};

/// Where the readers of one load find its answer. It survives every one of them.
pub(crate) type Answer = watch::Receiver<Option<Loaded>>;

/// Quiet times below this number are never looked through.
const FEW_QUIET: usize = 64;

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) flights: HashMap<CredentialPath, Flight>,
    /// Until when a path is quiet.
    quiet: HashMap<CredentialPath, Instant>,
    /// With so many quiet times, those that have passed are taken away.
    prune_at: usize,
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

    pub(super) fn is_quiet(&self, path: PathRef<'_>, now: Instant) -> bool {
        !self.quiet.is_empty() && self.quiet.get(&path.to_owned()).is_some_and(|until| now <= *until)
    }

    /// Makes a path quiet for at least so long: a quiet time only lengthens.
    pub(super) fn keep_quiet(&mut self, path: PathRef<'_>, now: Instant, quiet: Duration) {
        if self.quiet.len() >= self.prune_at {
            self.quiet.retain(|_, until| now <= *until);
            self.prune_at = self.quiet.len().saturating_mul(2).max(FEW_QUIET);
        }
        let until = later(now, quiet);
        let known = self.quiet.entry(path.to_owned()).or_insert(until);
        *known = until.max(*known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_time_only_lengthens() {
        let mut ledger = Ledger::default();
        let (path, now) = ("org:a/id".parse::<CredentialPath>().unwrap(), Instant::now());
        ledger.keep_quiet(path.as_ref(), now, Duration::from_secs(60));
        ledger.keep_quiet(path.as_ref(), now, Duration::from_secs(1));
        assert!(ledger.is_quiet(path.as_ref(), now + Duration::from_secs(60)));
        assert!(!ledger.is_quiet(path.as_ref(), now + Duration::from_secs(61)));
    }

    #[test]
    fn quiet_times_that_have_passed_take_no_room() {
        let mut ledger = Ledger::default();
        let start = Instant::now();
        for second in 0..10_000_u64 {
            let path: CredentialPath = format!("id{second}").parse().unwrap();
            ledger.keep_quiet(path.as_ref(), start + Duration::from_secs(second), Duration::from_secs(5));
        }
        assert!(ledger.quiet.len() <= 2 * FEW_QUIET, "{}", ledger.quiet.len());
    }
}
