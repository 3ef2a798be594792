//! Unresolved writes of this manager: those that are not visible to its own reads yet, or whose
//! outcome is unknown and that can still take effect.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{Consistency, PathRef};
use tokio::time::Instant;

use crate::windows::{LastWrite, NoCacheWindows};

/// When the provider's writes become visible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteTiming {
    pub(crate) consistency: Consistency,
    /// How long a write without an answer may still take effect.
    pub(crate) in_doubt: Duration,
}

impl WriteTiming {
    /// How long after its end a write may not be visible to a read yet.
    pub(crate) fn latest(self, in_doubt: bool) -> Duration {
        let takes_effect = if in_doubt { self.in_doubt } else { Duration::ZERO };
        self.consistency.point().saturating_add(takes_effect)
    }
}

/// The operation of the manager that made a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    Store,
    StoreIfAbsent,
    StoreIf,
    Update,
    Rotate,
    RotateWith,
    RotateIfDue,
    Delete,
    Recover,
    Purge,
    /// It writes an old value, which no caller has passed in and no caller expects later. The
    /// callers of the other writers get an error if the outcome is unknown, and decide what to do.
    Rekey,
}

impl Writer {
    /// Whether it gives the credential a new value, even if that equals the former one.
    pub(crate) const fn rotates(self) -> bool {
        matches!(self, Self::Rotate | Self::RotateWith | Self::RotateIfDue)
    }

    /// The operation's name in logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::StoreIfAbsent => "store_if_absent",
            Self::StoreIf => "store_if",
            Self::Update => "update",
            Self::Rotate => "rotate",
            Self::RotateWith => "rotate_with",
            Self::RotateIfDue => "rotate_if_due",
            Self::Delete => "delete",
            Self::Recover => "recover",
            Self::Purge => "purge",
            Self::Rekey => "rekey",
        }
    }
}

/// Tracks until when the writes of this manager are unresolved.
///
/// With compare-and-set nothing is recorded: a write that is based on an outdated read, or that
/// takes effect late, fails as a conflict.
pub(crate) struct UnresolvedWrites {
    timing: WriteTiming,
    conditional: bool,
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    /// All writes: operations that depend on the stored value wait for these.
    all: NoCacheWindows,
    /// Uncertain writes of a re-key: every later write waits for these. If one took effect late, it
    /// would silently replace a later value with the earlier one.
    rekeys: NoCacheWindows,
}

impl UnresolvedWrites {
    /// `conditional`: whether the provider has compare-and-set.
    pub(crate) fn new(timing: WriteTiming, conditional: bool) -> Self {
        Self { timing, conditional, windows: Mutex::default() }
    }

    /// Records that a write of this path has ended; `in_doubt`: its outcome is unknown.
    pub(crate) fn written(&self, path: PathRef<'_>, in_doubt: bool, writer: Writer) {
        let latest = self.timing.latest(in_doubt);
        if self.conditional || latest.is_zero() {
            return;
        }
        let (now, mut windows) = (Instant::now(), self.windows());
        let mut closed = windows.all.open(path, now, latest, LastWrite::Unknown);
        if in_doubt && writer == Writer::Rekey {
            closed.extend(windows.rekeys.open(path, now, self.timing.in_doubt, LastWrite::Unknown));
        }
        drop(windows);
        drop(closed);
    }

    /// The time until every write of this path that has ended is visible, or can no longer take
    /// effect. Zero: every write is resolved.
    pub(crate) fn left(&self, path: PathRef<'_>) -> Duration {
        left(self.with_open(|windows| windows.all.until(path)))
    }

    /// The time until no uncertain write of a re-key to this path can take effect any more.
    pub(crate) fn rekey_left(&self, path: PathRef<'_>) -> Duration {
        left(self.with_open(|windows| windows.rekeys.until(path)))
    }

    /// Frees the memory of resolved writes, which a manager that no longer writes would keep.
    pub(crate) fn forget_closed(&self) {
        self.with_open(|_| ());
    }

    /// Removes the closed windows, and then inspects the open ones.
    fn with_open<T>(&self, inspect: impl FnOnce(&Windows) -> T) -> T {
        let (now, mut windows) = (Instant::now(), self.windows());
        let closed = [windows.all.remove_closed(now), windows.rekeys.remove_closed(now)];
        let result = inspect(&windows);
        drop(windows);
        // Outside of the lock: there may be many.
        drop(closed);
        result
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left(until: Option<Instant>) -> Duration {
    until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests {
    use cred_core::CredentialPath;
    use tokio::time::sleep;

    use super::*;

    const LAG: Duration = Duration::from_secs(5);
    const IN_DOUBT: Duration = Duration::from_secs(30);

    fn path() -> CredentialPath {
        "org:a/id".parse().unwrap()
    }

    fn unresolved(consistency: Consistency, conditional: bool) -> UnresolvedWrites {
        UnresolvedWrites::new(WriteTiming { consistency, in_doubt: IN_DOUBT }, conditional)
    }

    #[test]
    fn an_uncertain_write_is_resolved_when_it_can_no_longer_take_effect() {
        let lagging = unresolved(Consistency::Eventual { point: LAG, list: LAG }, false);
        lagging.written(path().as_path_ref(), false, Writer::Store);
        assert!(lagging.left(path().as_path_ref()) <= LAG);
        lagging.written(path().as_path_ref(), true, Writer::Store);
        assert!(lagging.left(path().as_path_ref()) > IN_DOUBT);

        let strong = unresolved(Consistency::Strong, false);
        strong.written(path().as_path_ref(), false, Writer::Store);
        assert!(strong.left(path().as_path_ref()).is_zero());
        strong.written(path().as_path_ref(), true, Writer::Store);
        assert!(strong.left(path().as_path_ref()) > LAG);
    }

    #[test]
    fn only_uncertain_writes_of_a_rekey_delay_every_later_write() {
        let strong = unresolved(Consistency::Strong, false);
        strong.written(path().as_path_ref(), true, Writer::Store);
        strong.written(path().as_path_ref(), false, Writer::Rekey);
        assert!(strong.rekey_left(path().as_path_ref()).is_zero());
        strong.written(path().as_path_ref(), true, Writer::Rekey);
        assert!(strong.rekey_left(path().as_path_ref()) > LAG);
    }

    #[test]
    fn a_write_waits_for_an_uncertain_rekey_only_while_that_can_take_effect() {
        let lagging = unresolved(Consistency::Eventual { point: LAG, list: LAG }, false);
        lagging.written(path().as_path_ref(), true, Writer::Rekey);
        assert!(lagging.left(path().as_path_ref()) > IN_DOUBT);
        assert!(lagging.rekey_left(path().as_path_ref()) <= IN_DOUBT);
    }

    #[tokio::test(start_paused = true)]
    async fn every_query_removes_resolved_writes() {
        let other: CredentialPath = "org:a/other".parse().unwrap();
        let queries: [fn(&UnresolvedWrites, PathRef<'_>); 3] = [
            |unresolved, path| assert!(unresolved.left(path).is_zero()),
            |unresolved, path| assert!(unresolved.rekey_left(path).is_zero()),
            |unresolved, _| unresolved.forget_closed(),
        ];
        for query in queries {
            let strong = unresolved(Consistency::Strong, false);
            strong.written(path().as_path_ref(), true, Writer::Rekey);
            query(&strong, other.as_path_ref());
            assert!(strong.windows().all.until(path().as_path_ref()).is_some(), "it is open");
            sleep(2 * IN_DOUBT).await;
            assert!(strong.windows().rekeys.until(path().as_path_ref()).is_some(), "it is kept");
            query(&strong, other.as_path_ref());
            let windows = strong.windows();
            assert_eq!(windows.all.until(path().as_path_ref()), None);
            assert_eq!(windows.rekeys.until(path().as_path_ref()), None);
        }
    }

    #[test]
    fn with_compare_and_set_no_write_is_unresolved() {
        let conditional = unresolved(Consistency::Eventual { point: LAG, list: LAG }, true);
        conditional.written(path().as_path_ref(), true, Writer::Rekey);
        assert!(conditional.left(path().as_path_ref()).is_zero());
        assert!(conditional.rekey_left(path().as_path_ref()).is_zero());
    }
}
