//! The lock among writers: a file for all processes, and before it a queue for the threads of one
//! provider.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cred_core::{StorageError, StorageResult};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat};
use rustix::io::{Errno, retry_on_intr};

use super::directory::Directory;
use crate::error::from_errno;

/// Never removed by this library: a lock on a removed file excludes no other process. Where another
/// program removes it, a waiting process opens the new one.
const NAME: &str = ".lock";
const SHORTEST_WAIT: Duration = Duration::from_micros(50);
const LONGEST_WAIT: Duration = Duration::from_millis(2);
/// After this long, who comes waits until all are out, so that another process gets its turn.
const LONGEST_GROUP: Duration = Duration::from_millis(1);

/// With whom a holder bears to hold the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// With others of the same provider: what is done is one rename or one removal, which need no
    /// order among themselves.
    Together,
    /// With nobody: what is done rests on what was looked at.
    Alone,
    /// With no writer. This needs no write access, so that a read-only store can be listed.
    Listing,
}

/// Where the threads of one provider wait, first come, first served. Only one of them asks the
/// file, and writers go through together: ten that all ask the file take more than twice the time
/// of ten that have no lock.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u64>,
    next_ticket: u64,
    /// Who holds the lock, or is asking the file for it.
    holders: usize,
    /// The locked file, and until when others may join; `None`: nobody holds it, somebody asks for
    /// it, or holds it alone.
    joinable: Option<Instant>,
    file: Option<OwnedFd>,
}

/// Held until it is dropped. Each provider opens the file anew, so providers of one process exclude
/// each other as well.
#[derive(Debug)]
pub(super) struct StoreLock<'a>(&'a Queue);

impl<'a> StoreLock<'a> {
    /// Waits until the deadline.
    pub(super) fn acquire(
        queue: &'a Queue,
        access: Access,
        base: &Directory,
        deadline: Instant,
    ) -> StorageResult<Self> {
        let (lock, first) = queue.enter(access, deadline).ok_or_else(|| held(base))?;
        if first {
            // Where this fails, dropping the lock lets the next one ask.
            let file = locked_file(base, access, deadline)?;
            let mut state = queue.state();
            state.file = file;
            state.joinable = (access == Access::Together).then(|| Instant::now() + LONGEST_GROUP);
            drop(state);
            queue.changed.notify_all();
        }
        Ok(lock)
    }
}

impl Drop for StoreLock<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.holders = state.holders.saturating_sub(1);
        if state.holders == 0 {
            state.joinable = None;
            state.file = None;
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn, and tells whether it is the first of a group, who has to lock the file;
    /// `None`: the deadline came first.
    fn enter(&self, access: Access, deadline: Instant) -> Option<(StoreLock<'_>, bool)> {
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket = ticket.wrapping_add(1);
        state.waiting.push_back(ticket);
        loop {
            let now = Instant::now();
            let is_next = state.waiting.front() == Some(&ticket);
            let joins = access == Access::Together && state.joinable.is_some_and(|until| now < until);
            if is_next && (state.holders == 0 || joins) {
                state.waiting.pop_front();
                let first = state.holders == 0;
                state.holders = state.holders.saturating_add(1);
                drop(state);
                // The next one may join.
                self.changed.notify_all();
                return Some((StoreLock(self), first));
            }
            let Some(left) = deadline.checked_duration_since(now).filter(|left| !left.is_zero()) else {
                state.waiting.retain(|other| *other != ticket);
                drop(state);
                self.changed.notify_all();
                return None;
            };
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn held(base: &Directory) -> StorageError {
    let place = base.place(NAME);
    StorageError::busy(format!("another writer holds `{}`", place.display()))
}

/// Locks the file that has the name at that time: a restore or a copy of the directory may have
/// removed the file, or replaced it by another one, while this process waited. `None` as in
/// [`lock_file`].
fn locked_file(base: &Directory, access: Access, deadline: Instant) -> StorageResult<Option<OwnedFd>> {
    loop {
        let Some(file) = lock_file(base, access, deadline)? else { return Ok(None) };
        let named = has_the_name(base, &file);
        if named.map_err(|errno| from_errno(errno, "reading the attributes of", &base.place(NAME)))? {
            return Ok(Some(file));
        }
        if Instant::now() + SHORTEST_WAIT >= deadline {
            return Err(held(base));
        }
        sleep(SHORTEST_WAIT);
    }
}

fn has_the_name(base: &Directory, file: &OwnedFd) -> Result<bool, Errno> {
    let opened = fstat(file)?;
    match retry_on_intr(|| statat(base.fd(), NAME, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Tries until the deadline: a waiting `flock` could not be given up. `None`: the store is
/// read-only and has no lock file, or no locks.
fn lock_file(base: &Directory, access: Access, deadline: Instant) -> StorageResult<Option<OwnedFd>> {
    let place = || base.place(NAME);
    // NFS needs write access for an exclusive lock, and read access for a shared one.
    let (file, operation) = match open_lock(base, OFlags::RDWR | OFlags::CREATE) {
        Ok(file) => (file, FlockOperation::NonBlockingLockExclusive),
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if access == Access::Listing => {
            // The same store may be writable for another process, so its writers are kept out.
            match open_lock(base, OFlags::RDONLY) {
                Ok(file) => (file, FlockOperation::NonBlockingLockShared),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(from_errno(errno, "opening", &place())),
            }
        }
        Err(errno) => return Err(from_errno(errno, "opening", &place())),
    };
    let shared = matches!(operation, FlockOperation::NonBlockingLockShared);
    let mut wait = SHORTEST_WAIT;
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(Errno::NOLCK | Errno::NOTSUP) if shared => return Ok(None),
            Err(Errno::NOLCK | Errno::NOTSUP) => {
                let place = place();
                return Err(StorageError::invalid_request(format!(
                    "the file system of `{}` has no locks; use another, or set `enable_locking` to false where one \
                     process alone writes",
                    place.display()
                )));
            }
            Err(errno) => return Err(from_errno(errno, "locking", &place())),
        }
        if Instant::now() + wait >= deadline {
            return Err(held(base));
        }
        sleep(wait.mul_f64(0.5 + fastrand::f64()));
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn open_lock(base: &Directory, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    retry_on_intr(|| openat(base.fd(), NAME, flags, Mode::RUSR | Mode::WUSR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn entered(queue: &Queue, access: Access) -> Option<bool> {
        queue.enter(access, soon()).map(|(lock, first)| {
            std::mem::forget(lock);
            first
        })
    }

    #[test]
    fn only_those_who_bear_it_hold_together() {
        let queue = Queue::default();
        assert_eq!(entered(&queue, Access::Together), Some(true));
        assert_eq!(entered(&queue, Access::Together), None, "the first one has not locked the file yet");
        queue.state().joinable = Some(Instant::now() + Duration::from_secs(600));
        assert_eq!(entered(&queue, Access::Together), Some(false));
        assert_eq!(entered(&queue, Access::Alone), None);
        drop(StoreLock(&queue));
        assert_eq!(entered(&queue, Access::Alone), None, "one of two is still there");
        drop(StoreLock(&queue));
        assert_eq!(entered(&queue, Access::Alone), Some(true));
        assert_eq!(entered(&queue, Access::Together), None);
        assert_eq!(entered(&queue, Access::Alone), None);
        drop(StoreLock(&queue));
        assert!(queue.state().waiting.is_empty(), "who gave up waits no longer");
    }

    #[test]
    fn a_group_is_closed_after_its_time_and_to_who_comes_after_one_who_wants_to_be_alone() {
        let queue = Queue::default();
        assert_eq!(entered(&queue, Access::Together), Some(true));
        queue.state().joinable = Some(Instant::now());
        assert_eq!(entered(&queue, Access::Together), None, "its time is over");
        queue.state().joinable = Some(Instant::now() + Duration::from_secs(600));
        queue.state().waiting.push_back(u64::MAX);
        assert_eq!(entered(&queue, Access::Together), None, "another one was first");
    }
}
