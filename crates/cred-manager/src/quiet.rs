//! Times in which a read of a path may not show this manager's last write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{Consistency, CredentialPath, PathRef};
use tokio::time::{Instant, sleep_until};

/// Fewer quiet times than this are never looked through.
const FEW: usize = 64;

/// Until when which path is quiet. Quiet times only lengthen.
#[derive(Default)]
pub(crate) struct QuietTimes {
    until: HashMap<CredentialPath, Instant>,
    /// With so many, those that have passed are taken away.
    prune_at: usize,
}

impl QuietTimes {
    pub(crate) fn is_quiet(&self, path: PathRef<'_>, now: Instant) -> bool {
        self.until(path).is_some_and(|until| now <= until)
    }

    pub(crate) fn until(&self, path: PathRef<'_>) -> Option<Instant> {
        match self.until.is_empty() {
            true => None,
            false => self.until.get(&path.to_owned()).copied(),
        }
    }

    /// Makes a path quiet for at least so long.
    pub(crate) fn lengthen(&mut self, path: PathRef<'_>, now: Instant, quiet: Duration) {
        if self.until.len() >= self.prune_at {
            self.until.retain(|_, until| now <= *until);
            self.prune_at = self.until.len().saturating_mul(2).max(FEW);
        }
        let until = later(now, quiet);
        let known = self.until.entry(path.to_owned()).or_insert(until);
        *known = until.max(*known);
    }
}

/// When the provider's writes show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Showing {
    pub(crate) consistency: Consistency,
    /// How long a write without an answer may still take effect.
    pub(crate) in_doubt: Duration,
}

impl Showing {
    /// For how long after its end a write may not show to a read.
    pub(crate) fn latest(self, in_doubt: bool) -> Duration {
        let lands = if in_doubt { self.in_doubt } else { Duration::ZERO };
        self.consistency.point().saturating_add(lands)
    }
}

/// When the writes of this manager show to its own reads, for those that must see them before they write anew.
pub(crate) struct Settling {
    showing: Showing,
    times: Mutex<QuietTimes>,
}

impl Settling {
    pub(crate) fn new(showing: Showing) -> Self {
        Self { showing, times: Mutex::default() }
    }

    /// A write of this path has ended, or may go on where that is in doubt.
    pub(crate) fn written(&self, path: PathRef<'_>, in_doubt: bool) {
        // Where writes show at once there is nothing to wait for.
        if !self.showing.consistency.point().is_zero() {
            self.times().lengthen(path, Instant::now(), self.showing.latest(in_doubt));
        }
    }

    /// Waits until every write of this path that has ended shows to a read.
    pub(crate) async fn settled(&self, path: PathRef<'_>) {
        let until = self.times().until(path);
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }

    /// How long that takes from now; zero: there is nothing to wait for.
    pub(crate) fn left(&self, path: PathRef<'_>) -> Duration {
        self.times()
            .until(path)
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    fn times(&self) -> MutexGuard<'_, QuietTimes> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment so much later, or one that nobody lives to see.
pub(crate) fn later(moment: Instant, by: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 100);
    moment.checked_add(by).or_else(|| moment.checked_add(AGES)).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_in_doubt_settles_when_it_can_no_longer_land() {
        let (lag, in_doubt) = (Duration::from_secs(5), Duration::from_secs(30));
        let consistency = Consistency::Eventual { point: lag, list: lag };
        let settling = Settling::new(Showing { consistency, in_doubt });
        let path = "org:a/id".parse::<CredentialPath>().unwrap();
        settling.written(path.as_ref(), false);
        assert!(settling.left(path.as_ref()) <= lag);
        settling.written(path.as_ref(), true);
        assert!(settling.left(path.as_ref()) > in_doubt);
        let strong = Settling::new(Showing { consistency: Consistency::Strong, in_doubt });
        strong.written(path.as_ref(), true);
        assert!(strong.left(path.as_ref()).is_zero());
    }

    #[test]
    fn a_quiet_time_only_lengthens() {
        let mut times = QuietTimes::default();
        let (path, now) = ("org:a/id".parse::<CredentialPath>().unwrap(), Instant::now());
        times.lengthen(path.as_ref(), now, Duration::from_secs(60));
        times.lengthen(path.as_ref(), now, Duration::from_secs(1));
        assert!(times.is_quiet(path.as_ref(), now + Duration::from_secs(60)));
        assert!(!times.is_quiet(path.as_ref(), now + Duration::from_secs(61)));
    }

    #[test]
    fn quiet_times_that_have_passed_take_no_room() {
        let mut times = QuietTimes::default();
        let start = Instant::now();
        for second in 0..10_000_u64 {
            let path: CredentialPath = format!("id{second}").parse().unwrap();
            times.lengthen(path.as_ref(), start + Duration::from_secs(second), Duration::from_secs(5));
        }
        assert!(times.until.len() <= 2 * FEW, "{}", times.until.len());
    }
}
