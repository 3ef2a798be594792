//! The lock among writers.

use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cred_core::StorageError;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::{Errno, retry_on_intr};

use super::directory::Directory;
use crate::error::from_errno;

/// Never removed: whoever held the lock of a removed file would exclude nobody.
const NAME: &str = ".lock";
const SHORTEST_WAIT: Duration = Duration::from_micros(50);
const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// Where the writers of one provider wait for each other, so that only one of them asks the file: it is woken by the one
/// before it, and by no timer. Ten writers that all ask the file take more than twice the time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    taken: Mutex<bool>,
    freed: Condvar,
}

impl Queue {
    /// `None`: the deadline came first.
    fn turn(&self, deadline: Instant) -> Option<Turn<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            let left = deadline.checked_duration_since(Instant::now())?;
            (taken, _) = self.freed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner);
        }
        *taken = true;
        Some(Turn(self))
    }
}

#[derive(Debug)]
struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

/// Held until it is dropped, by one writer of all processes. Each acquisition opens the file anew, so providers of one
/// process exclude each other as well.
#[derive(Debug)]
pub(super) struct StoreLock<'a> {
    // Given up first: the next one finds it free.
    _file: OwnedFd,
    _turn: Turn<'a>,
}

impl<'a> StoreLock<'a> {
    /// Tries until the deadline. A waiting `flock` could not be given up.
    pub(super) fn acquire(
        queue: &'a Queue,
        base: &Directory,
        deadline: Instant,
    ) -> Result<Self, StorageError> {
        let place = || base.place(NAME);
        let held = || {
            let place = place();
            StorageError::unavailable(format!(
                "another writer holds `{}`, and nothing was written",
                place.display()
            ))
        };
        let turn = queue.turn(deadline).ok_or_else(held)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(base.fd(), NAME, flags, Mode::RUSR | Mode::WUSR))
            .map_err(|errno| from_errno(errno, "opening", &place()))?;
        let mut wait = SHORTEST_WAIT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file, _turn: turn }),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
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
                return Err(held());
            }
            sleep(wait.mul_f64(0.5 + fastrand::f64()));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
