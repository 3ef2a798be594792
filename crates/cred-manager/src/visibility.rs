//! Times in which a read of a path may not show this manager's last write.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{Consistency, PathRef};
use tokio::time::{Instant, sleep_until};

use crate::windows::{LastWrite, NoCacheWindows};

/// When the provider's writes show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteTiming {
    pub(crate) consistency: Consistency,
    /// How long a write without an answer may still take effect.
    pub(crate) in_doubt: Duration,
}

impl WriteTiming {
    /// For how long after its end a write may not show to a read.
    pub(crate) fn latest(self, in_doubt: bool) -> Duration {
        let lands = if in_doubt { self.in_doubt } else { Duration::ZERO };
        self.consistency.point().saturating_add(lands)
    }
}

/// When the writes of this manager show to its own reads, for those that must see them before they write anew.
pub(crate) struct UnresolvedWrites {
    timing: WriteTiming,
    times: Mutex<NoCacheWindows>,
}

impl UnresolvedWrites {
    pub(crate) fn new(timing: WriteTiming) -> Self {
        Self { timing, times: Mutex::default() }
    }

    /// A write of this path has ended, or may go on where that is in doubt.
    pub(crate) fn written(&self, path: PathRef<'_>, in_doubt: bool) {
        // Where writes show at once there is nothing to wait for.
        if !self.timing.consistency.point().is_zero() {
            let (now, length) = (Instant::now(), self.timing.latest(in_doubt));
            let closed = self.times().open(path, now, length, LastWrite::Unknown);
            drop(closed);
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

    fn times(&self) -> MutexGuard<'_, NoCacheWindows> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cred_core::CredentialPath;

    use super::*;

    #[test]
    fn a_write_in_doubt_settles_when_it_can_no_longer_land() {
        let (lag, in_doubt) = (Duration::from_secs(5), Duration::from_secs(30));
        let consistency = Consistency::Eventual { point: lag, list: lag };
        let unresolved = UnresolvedWrites::new(WriteTiming { consistency, in_doubt });
        let path = "org:a/id".parse::<CredentialPath>().unwrap();
        unresolved.written(path.as_ref(), false);
        assert!(unresolved.left(path.as_ref()) <= lag);
        unresolved.written(path.as_ref(), true);
        assert!(unresolved.left(path.as_ref()) > in_doubt);
        let strong = UnresolvedWrites::new(WriteTiming { consistency: Consistency::Strong, in_doubt });
        strong.written(path.as_ref(), true);
        assert!(strong.left(path.as_ref()).is_zero());
    }
}
