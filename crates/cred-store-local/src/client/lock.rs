//! The lock among writers.

use std::os::fd::OwnedFd;
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
const LONGEST_WAIT: Duration = Duration::from_millis(5);

/// Held until it is dropped, by one writer of all processes. Each acquisition opens the file anew, so the threads of one
/// process exclude each other as well.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: OwnedFd,
}

impl StoreLock {
    /// Tries until the deadline. A waiting `flock` could not be given up.
    pub(super) fn acquire(base: &Directory, deadline: Instant) -> Result<Self, StorageError> {
        let place = || base.place(NAME);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = retry_on_intr(|| openat(base.fd(), NAME, flags, Mode::RUSR | Mode::WUSR))
            .map_err(|errno| from_errno(errno, "opening", &place()))?;
        let mut wait = SHORTEST_WAIT;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
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
                let place = place();
                return Err(StorageError::unavailable(format!(
                    "another writer holds `{}`, and nothing was written",
                    place.display()
                )));
            }
            sleep(wait.mul_f64(0.5 + fastrand::f64()));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
