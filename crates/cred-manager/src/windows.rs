//! Times in which a read of a path may not show this manager's last write.

use std::collections::HashMap;
use std::time::Duration;

use cred_core::{CredentialPath, PathRef};
use tokio::time::Instant;

/// Fewer quiet times than this are never looked through.
const FEW: usize = 64;

/// Until when which path is quiet. Quiet times only lengthen.
#[derive(Default)]
pub(crate) struct NoCacheWindows {
    until: HashMap<CredentialPath, Instant>,
    /// With so many, those that have passed are taken away.
    prune_at: usize,
}

impl NoCacheWindows {
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

/// A moment so much later, or one that nobody lives to see.
pub(crate) fn later(moment: Instant, by: Duration) -> Instant {
    const AGES: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 100);
    moment.checked_add(by).or_else(|| moment.checked_add(AGES)).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_time_only_lengthens() {
        let mut times = NoCacheWindows::default();
        let (path, now) = ("org:a/id".parse::<CredentialPath>().unwrap(), Instant::now());
        times.lengthen(path.as_ref(), now, Duration::from_secs(60));
        times.lengthen(path.as_ref(), now, Duration::from_secs(1));
        assert!(times.is_quiet(path.as_ref(), now + Duration::from_secs(60)));
        assert!(!times.is_quiet(path.as_ref(), now + Duration::from_secs(61)));
    }

    #[test]
    fn quiet_times_that_have_passed_take_no_room() {
        let mut times = NoCacheWindows::default();
        let start = Instant::now();
        for second in 0..10_000_u64 {
            let path: CredentialPath = format!("id{second}").parse().unwrap();
            times.lengthen(path.as_ref(), start + Duration::from_secs(second), Duration::from_secs(5));
        }
        assert!(times.until.len() <= 2 * FEW, "{}", times.until.len());
    }
}
