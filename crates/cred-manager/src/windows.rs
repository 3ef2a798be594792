//! Windows of time after a write, in which a read may not show the write yet.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use cred_core::{CredentialPath, EncryptedData, PathRef};
use tokio::time::Instant;

/// A generation takes new windows for the length of the longest window divided by this number. So
/// at most about twice this many generations exist, and unused memory is kept for at most that much
/// longer.
const GENERATIONS: u32 = 4;

/// The open windows of all paths. A window only ever lengthens.
///
/// Windows are kept in generations by the time when they were opened. A generation is removed as a
/// whole once all of its windows are closed. That frees its memory, at a cost that does not depend
/// on the number of its windows.
#[derive(Default)]
pub(crate) struct NoCacheWindows {
    /// The oldest first.
    generations: VecDeque<Generation>,
    /// The length of the longest window so far.
    longest: Duration,
}

pub(crate) struct Generation {
    opened: Instant,
    /// When the last of its windows closes.
    closes: Instant,
    windows: HashMap<CredentialPath, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    closes: Instant,
    last_write: LastWrite,
}

/// The last write of a path within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastWrite {
    /// It was acknowledged and stored the value with this seal.
    Stored(Seal),
    /// It was acknowledged and deleted the credential.
    Deleted,
    /// It was acknowledged and recovered a deleted credential, whose seal this manager has not
    /// seen.
    Recovered,
    /// The outcome of a write in the window is unknown: it can still take effect after later
    /// writes.
    Unknown,
}

/// Identifies one sealed value of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal(u64);

impl Seal {
    /// Hashes all parts: only the sealer knows which part differs between two sealed values. The
    /// hash is keyed, so that a backend cannot choose two values with the same hash.
    pub(crate) fn of(data: &EncryptedData, keyed: &RandomState) -> Self {
        let random = (data.salt, data.commitment, data.nonce, data.tag);
        let wrapped_key = data.wrapped_key.as_ref().map(|key| key.as_bytes());
        Self(keyed.hash_one((random, &data.ciphertext, data.kdf_salt, wrapped_key)))
    }
}

impl NoCacheWindows {
    /// The last write in the open windows of `path`; `None`: no window is open.
    pub(crate) fn last_write(&self, path: PathRef<'_>, now: Instant) -> Option<LastWrite> {
        let mut last_write = None;
        for window in self.windows_of(path).filter(|window| now <= window.closes) {
            last_write = match (last_write, window.last_write) {
                (Some(LastWrite::Unknown), _) => Some(LastWrite::Unknown),
                (_, newer) => Some(newer),
            };
        }
        last_write
    }

    /// When the last window of `path` closes; `None`: it has no window.
    pub(crate) fn until(&self, path: PathRef<'_>) -> Option<Instant> {
        self.windows_of(path).map(|window| window.closes).max()
    }

    /// Opens or lengthens a window of `path`. Returns the closed generations, so that the caller
    /// can drop them outside of a lock.
    #[must_use]
    pub(crate) fn open(
        &mut self,
        path: PathRef<'_>,
        now: Instant,
        length: Duration,
        last_write: LastWrite,
    ) -> Vec<Generation> {
        let closed = self.remove_closed(now);
        self.longest = self.longest.max(length);
        let span = self.longest / GENERATIONS;
        if self.generations.back().is_none_or(|newest| later(newest.opened, span) <= now) {
            self.generations.push_back(Generation { opened: now, closes: now, windows: HashMap::new() });
        }
        let closes = later(now, length);
        if let Some(newest) = self.generations.back_mut() {
            newest.closes = newest.closes.max(closes);
            let window = newest.windows.entry(path.to_path()).or_insert(Window { closes, last_write });
            if window.last_write != LastWrite::Unknown || window.closes < now {
                window.last_write = last_write;
            }
            window.closes = window.closes.max(closes);
        }
        closed
    }

    /// Removes the generations whose windows are all closed.
    #[must_use]
    pub(crate) fn remove_closed(&mut self, now: Instant) -> Vec<Generation> {
        let mut closed = Vec::new();
        while self.generations.front().is_some_and(|oldest| oldest.closes < now) {
            closed.extend(self.generations.pop_front());
        }
        closed
    }

    fn windows_of(&self, path: PathRef<'_>) -> impl Iterator<Item = Window> {
        let path = (!self.generations.is_empty()).then(|| path.to_path());
        path.into_iter().flat_map(|path| {
            self.generations.iter().filter_map(move |generation| generation.windows.get(&path).copied())
        })
    }
}

/// `time` plus `by`; on overflow, a time about 100 years later.
pub(crate) fn later(time: Instant, by: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 100);
    time.checked_add(by).or_else(|| time.checked_add(CENTURY)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const STORED: LastWrite = LastWrite::Stored(Seal(1));

    fn path(text: &str) -> CredentialPath {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_only_lengthens() {
        let mut windows = NoCacheWindows::default();
        let (path, now) = (path("org:a/id"), Instant::now());
        assert!(windows.open(path.as_path_ref(), now, 60 * SECOND, STORED).is_empty());
        assert!(windows.open(path.as_path_ref(), now, SECOND, STORED).is_empty());
        assert_eq!(windows.until(path.as_path_ref()), Some(now + 60 * SECOND));
        assert_eq!(windows.last_write(path.as_path_ref(), now + 60 * SECOND), Some(STORED));
        assert_eq!(windows.last_write(path.as_path_ref(), now + 61 * SECOND), None);
    }

    #[test]
    fn a_later_generation_does_not_hide_the_window_of_an_earlier_one() {
        let mut windows = NoCacheWindows::default();
        let (path, now) = (path("org:a/id"), Instant::now());
        drop(windows.open(path.as_path_ref(), now, 60 * SECOND, LastWrite::Unknown));
        let then = now + 30 * SECOND;
        drop(windows.open(path.as_path_ref(), then, SECOND, STORED));
        assert_eq!(windows.generations.len(), 2);
        assert_eq!(windows.last_write(path.as_path_ref(), then), Some(LastWrite::Unknown));
        assert_eq!(windows.last_write(path.as_path_ref(), then + 10 * SECOND), Some(LastWrite::Unknown));
        assert_eq!(windows.until(path.as_path_ref()), Some(now + 60 * SECOND));
    }

    #[test]
    fn within_a_generation_an_acknowledged_write_does_not_hide_an_unknown_outcome() {
        let mut windows = NoCacheWindows::default();
        let (path, now) = (path("org:a/id"), Instant::now());
        drop(windows.open(path.as_path_ref(), now, 60 * SECOND, LastWrite::Unknown));
        drop(windows.open(path.as_path_ref(), now + SECOND, 60 * SECOND, STORED));
        assert_eq!(windows.last_write(path.as_path_ref(), now + 2 * SECOND), Some(LastWrite::Unknown));
    }

    #[test]
    fn the_last_of_several_acknowledged_writes_counts() {
        let mut windows = NoCacheWindows::default();
        let (path, now) = (path("org:a/id"), Instant::now());
        drop(windows.open(path.as_path_ref(), now, 60 * SECOND, STORED));
        drop(windows.open(path.as_path_ref(), now, 60 * SECOND, LastWrite::Deleted));
        assert_eq!(windows.last_write(path.as_path_ref(), now), Some(LastWrite::Deleted));
        let then = now + 30 * SECOND;
        drop(windows.open(path.as_path_ref(), then, 60 * SECOND, LastWrite::Stored(Seal(2))));
        assert_eq!(windows.last_write(path.as_path_ref(), then), Some(LastWrite::Stored(Seal(2))));
    }

    #[test]
    fn the_memory_of_closed_windows_is_freed() {
        let mut windows = NoCacheWindows::default();
        let start = Instant::now();
        let allocated = |windows: &NoCacheWindows| -> usize {
            windows.generations.iter().map(|generation| generation.windows.capacity()).sum()
        };
        for number in 0..10_000_u64 {
            let path = path(&format!("id{number}"));
            drop(windows.open(path.as_path_ref(), start, 5 * SECOND, STORED));
        }
        assert!(allocated(&windows) >= 10_000);
        assert_eq!(windows.remove_closed(start + 5 * SECOND).len(), 0);
        assert_eq!(windows.remove_closed(start + 6 * SECOND).len(), 1);
        assert_eq!(allocated(&windows), 0);
        for second in 0..10_000 {
            let (path, now) = (path(&format!("id{second}")), start + Duration::from_secs(second));
            drop(windows.open(path.as_path_ref(), now, 5 * SECOND, STORED));
            assert!(windows.generations.len() <= 8 && allocated(&windows) <= 64);
        }
    }

    #[test]
    fn a_seal_differs_if_any_part_differs() {
        let keyed = RandomState::new();
        let data = |byte, ciphertext| {
            let key = "main".parse().unwrap();
            EncryptedData::new(key, [byte; 32], [byte; 32], [byte; 12], vec![ciphertext], [byte; 16])
        };
        let seal = |data: &EncryptedData| Seal::of(data, &keyed);
        assert_eq!(seal(&data(1, 1)), seal(&data(1, 1)));
        // A sealer may put everything into the ciphertext.
        assert_ne!(seal(&data(1, 1)), seal(&data(1, 2)));
        assert_ne!(seal(&data(1, 1)), seal(&data(2, 1)));
    }
}
