//! Temporary files of writes in progress, and the removal of those that a crash left.

use std::fs::File;
use std::io::Write as _;

use cred_core::{StorageError, StorageResult};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, renameat};
use rustix::io::{Errno, retry_on_intr};

use super::directory::Directory;
use super::durable::DurableDirectories;
use crate::error::{WriteError, from_errno, from_io};

/// Below the base, so that a rename never crosses file systems.
const DIRECTORY: &str = ".tmp";
/// Hex digits of a temporary name: 64 bits.
const NAME_LEN: usize = 16;
/// Attempts to create a temporary file. One fails if another writer has the name, or if a sweep
/// removed the file first. Both are rare; if they repeat, something else is wrong.
const MAX_ATTEMPTS: usize = 4;

/// A temporary file that only this writer uses. It is removed if dropped before its rename.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: Directory,
    name: String,
    file: File,
    renamed: bool,
}

impl Temporary {
    pub(super) fn create(base: &Directory, durable: &DurableDirectories) -> StorageResult<Self> {
        for _ in 0..MAX_ATTEMPTS {
            if let Some(temporary) = Self::try_create(base.child_or_create(DIRECTORY, durable)?)? {
                return Ok(temporary);
            }
        }
        Err(StorageError::unavailable("another process removed every temporary file before it was written"))
    }

    /// Returns `None` if another writer took the name or a sweep removed the file first.
    fn try_create(directory: Directory) -> StorageResult<Option<Self>> {
        let name = format!("{:016x}", fastrand::u64(..));
        // Also for reading: NFS refuses a shared lock on a file that is open only for writing.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match retry_on_intr(|| openat(directory.fd(), &name, flags, Mode::RUSR | Mode::WUSR)) {
            Ok(fd) => File::from(fd),
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(from_errno(errno, "creating", &directory.path_of(&name))),
        };
        let temporary = Self { directory, name, file, renamed: false };
        let failed = |errno, doing| from_errno(errno, doing, &temporary.directory.path_of(&temporary.name));
        // The lock is shared because it stays on the file after the rename, where readers share it.
        // A sweep locks the file exclusively before it removes it. So this lock succeeds first, or
        // the sweep has removed the file already. On a file system without locks nothing is swept.
        // Some network file systems refuse a kind of lock with EBADF.
        match retry_on_intr(|| flock(&temporary.file, FlockOperation::NonBlockingLockShared)) {
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::BADF) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(failed(errno, "locking")),
        }
        let stat = fstat(&temporary.file).map_err(|errno| failed(errno, "reading the attributes of"))?;
        Ok((stat.st_nlink > 0).then_some(temporary))
    }

    /// Writes and syncs the file. A failed sync is not retried: the contents on the disk are then
    /// unknown, and a later success would not prove them. The file is removed instead.
    pub(super) fn write(&mut self, bytes: &[u8]) -> StorageResult<()> {
        let failed =
            |error: std::io::Error, doing| from_io(&error, doing, &self.directory.path_of(&self.name));
        let mut file = &self.file;
        file.write_all(bytes).map_err(|error| failed(error, "writing"))?;
        file.sync_all().map_err(|error| failed(error, "syncing"))
    }

    /// Renames it over the target file.
    pub(super) fn rename(mut self, target: &Directory, name: &str) -> Result<(), WriteError> {
        match retry_on_intr(|| renameat(self.directory.fd(), &self.name, target.fd(), name)) {
            Ok(()) => {
                self.renamed = true;
                Ok(())
            }
            // The file system's journal may have failed midway.
            Err(Errno::IO) => {
                Err(WriteError::OutcomeUnknown(from_errno(Errno::IO, "renaming to", &target.path_of(name))))
            }
            Err(errno) => {
                Err(WriteError::NothingWritten(from_errno(errno, "renaming to", &target.path_of(name))))
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // If this fails, a later sweep removes the file.
            let _ = self.directory.remove(&self.name);
        }
    }
}

/// Removes temporary files of writers that no longer run: those that no process has locked.
pub(super) fn sweep(base: &Directory) -> StorageResult<()> {
    let Some(directory) = base.child(DIRECTORY)? else { return Ok(()) };
    let mut names = Vec::new();
    directory.entries(|name, kind| {
        let is_temporary_name = name.len() == NAME_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_temporary_name && matches!(kind, FileType::RegularFile | FileType::Unknown) {
            names.push(name.to_owned());
        }
    })?;
    // Also for writing: NFS refuses an exclusive lock on a file that is open only for reading.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for name in names {
        let Ok(file) = openat(directory.fd(), &name, flags, Mode::empty()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // If this fails, the sweep at the next opening removes the file.
            let _ = directory.remove(&name);
        }
    }
    Ok(())
}
