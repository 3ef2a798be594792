//! The store lock, which writers take: a lock file shared by all processes, preceded by an
//! in-process queue for the threads of one provider.

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

/// The lock file. This crate never removes it: a lock on a removed file excludes no other process.
/// If another program removes it, a waiting process opens the new file.
const NAME: &str = ".lock";
const MIN_WAIT: Duration = Duration::from_micros(50);
const MAX_WAIT: Duration = Duration::from_millis(2);
/// How long writers can join a group that holds the lock. Later writers wait until the group has
/// released it, so that another process can take the lock in between.
const MAX_GROUP_TIME: Duration = Duration::from_millis(1);

/// How a holder shares the store lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Shared with other `Grouped` holders of the same provider. Each does a single rename or
    /// removal, and the order among these does not matter.
    Grouped,
    /// Shared with no other holder, because the write depends on a check under the lock.
    Exclusive,
    /// Excludes writers. Needs no write access, so that a read-only store can be listed.
    List,
}

/// The FIFO queue of the threads of one provider. Only the first of a group locks the file, and
/// `Grouped` writers share that lock: if ten writers each lock the file, they take more than twice
/// the time of ten writers without a lock.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<u64>,
    next_ticket: u64,
    /// Threads that hold the lock. The first of them may still be locking the file.
    holders: usize,
    /// Until when other `Grouped` writers may join the group. `None` if the file is not locked, or
    /// its holder does not share it.
    joinable_until: Option<Instant>,
    /// The locked file.
    file: Option<OwnedFd>,
}

/// The store lock, held until dropped. Each provider opens the lock file itself, so providers in
/// one process also exclude each other.
#[derive(Debug)]
pub(super) struct StoreLock<'a>(&'a Queue);

impl<'a> StoreLock<'a> {
    /// Takes the lock, waiting at most until the deadline.
    pub(super) fn acquire(
        queue: &'a Queue,
        access: Access,
        base: &Directory,
        deadline: Instant,
    ) -> StorageResult<Self> {
        let (lock, first) = queue.enter(access, deadline).ok_or_else(|| busy_error(base))?;
        if first {
            // If this fails, dropping `lock` lets the next waiter lock the file.
            let file = locked_file(base, access, deadline)?;
            let mut state = queue.state();
            state.file = file;
            state.joinable_until = (access == Access::Grouped).then(|| Instant::now() + MAX_GROUP_TIME);
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
            state.joinable_until = None;
            state.file = None;
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits in the queue. Returns whether the caller is the first of a group and must lock the
    /// file, or `None` if the deadline passed first.
    fn enter(&self, access: Access, deadline: Instant) -> Option<(StoreLock<'_>, bool)> {
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket = ticket.wrapping_add(1);
        state.waiting.push_back(ticket);
        loop {
            let now = Instant::now();
            let is_next = state.waiting.front() == Some(&ticket);
            let joins = access == Access::Grouped && state.joinable_until.is_some_and(|until| now < until);
            if is_next && (state.holders == 0 || joins) {
                state.waiting.pop_front();
                let first = state.holders == 0;
                state.holders = state.holders.saturating_add(1);
                drop(state);
                // The next waiter may join.
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

fn busy_error(base: &Directory) -> StorageError {
    let path = base.path_of(NAME);
    StorageError::busy(format!("another writer holds `{}`", path.display()))
}

/// Locks the current lock file. A restore or a copy of the directory may have removed or replaced
/// the file while this process waited. Returns `None` as [`lock_file`] does.
fn locked_file(base: &Directory, access: Access, deadline: Instant) -> StorageResult<Option<OwnedFd>> {
    loop {
        let Some(file) = lock_file(base, access, deadline)? else { return Ok(None) };
        let current = is_current(base, &file);
        if current.map_err(|errno| from_errno(errno, "reading the attributes of", &base.path_of(NAME)))? {
            return Ok(Some(file));
        }
        if Instant::now() + MIN_WAIT >= deadline {
            return Err(busy_error(base));
        }
        sleep(MIN_WAIT);
    }
}

fn is_current(base: &Directory, file: &OwnedFd) -> Result<bool, Errno> {
    let opened = fstat(file)?;
    match retry_on_intr(|| statat(base.fd(), NAME, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Retries a non-blocking `flock` until the deadline, since a blocking `flock` cannot be cancelled.
/// Returns `None` if the store is read-only and has no lock file or does not support locks.
fn lock_file(base: &Directory, access: Access, deadline: Instant) -> StorageResult<Option<OwnedFd>> {
    let path = || base.path_of(NAME);
    // NFS needs write access for an exclusive lock, and read access for a shared one.
    let (file, operation) = match open_lock(base, OFlags::RDWR | OFlags::CREATE) {
        Ok(file) => (file, FlockOperation::NonBlockingLockExclusive),
        Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if access == Access::List => {
            // The store may be writable for another process, so exclude its writers.
            match open_lock(base, OFlags::RDONLY) {
                Ok(file) => (file, FlockOperation::NonBlockingLockShared),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(from_errno(errno, "opening", &path())),
            }
        }
        Err(errno) => return Err(from_errno(errno, "opening", &path())),
    };
    let shared = matches!(operation, FlockOperation::NonBlockingLockShared);
    let mut wait = MIN_WAIT;
    loop {
        match flock(&file, operation) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(Errno::NOLCK | Errno::NOTSUP) if shared => return Ok(None),
            Err(Errno::NOLCK | Errno::NOTSUP) => {
                let path = path();
                return Err(StorageError::invalid_request(format!(
                    "the file system of `{}` does not support locks; use another file system, or set \
                     `enable_locking` to false if only one process writes",
                    path.display()
                )));
            }
            Err(errno) => return Err(from_errno(errno, "locking", &path())),
        }
        if Instant::now() + wait >= deadline {
            return Err(busy_error(base));
        }
        sleep(wait.mul_f64(0.5 + fastrand::f64()));
        wait = (wait * 2).min(MAX_WAIT);
    }
}

fn open_lock(base: &Directory, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    retry_on_intr(|| openat(base.fd(), NAME, flags, Mode::RUSR | Mode::WUSR))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short_deadline() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn try_enter(queue: &Queue, access: Access) -> Option<bool> {
        queue.enter(access, short_deadline()).map(|(lock, first)| {
            std::mem::forget(lock);
            first
        })
    }

    #[test]
    fn only_grouped_writers_share_the_lock() {
        let queue = Queue::default();
        assert_eq!(try_enter(&queue, Access::Grouped), Some(true));
        assert_eq!(try_enter(&queue, Access::Grouped), None, "the first holder has not locked the file yet");
        queue.state().joinable_until = Some(Instant::now() + Duration::from_secs(600));
        assert_eq!(try_enter(&queue, Access::Grouped), Some(false));
        assert_eq!(try_enter(&queue, Access::Exclusive), None);
        drop(StoreLock(&queue));
        assert_eq!(try_enter(&queue, Access::Exclusive), None, "one of two holders remains");
        drop(StoreLock(&queue));
        assert_eq!(try_enter(&queue, Access::Exclusive), Some(true));
        assert_eq!(try_enter(&queue, Access::Grouped), None);
        assert_eq!(try_enter(&queue, Access::Exclusive), None);
        drop(StoreLock(&queue));
        assert!(queue.state().waiting.is_empty(), "waiters whose deadline passed leave the queue");
    }

    #[test]
    fn no_writer_joins_a_group_after_its_time_or_ahead_of_an_earlier_waiter() {
        let queue = Queue::default();
        assert_eq!(try_enter(&queue, Access::Grouped), Some(true));
        queue.state().joinable_until = Some(Instant::now());
        assert_eq!(try_enter(&queue, Access::Grouped), None, "the group time is over");
        queue.state().joinable_until = Some(Instant::now() + Duration::from_secs(600));
        queue.state().waiting.push_back(u64::MAX);
        assert_eq!(try_enter(&queue, Access::Grouped), None, "another waiter was first");
    }
}
