//! Files that are being written, and what a crash leaves of them.

use std::fs::File;
use std::io::Write as _;

use cred_core::{StorageError, StorageResult};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, renameat};
use rustix::io::{Errno, retry_on_intr};

use super::anchored::Anchored;
use super::directory::Directory;
use crate::error::{WriteError, from_errno, from_io};

/// In the base, so that a rename never crosses file systems.
const DIRECTORY: &str = ".tmp";
/// Digits of a temporary name: 64 bits.
const NAME_LEN: usize = 16;
/// Another of ours had the name, or a sweep was faster. Each is rare, and twice in a row means
/// something else.
const TRIES: usize = 4;

/// A file that nobody else knows, removed when it is dropped before its rename.
#[derive(Debug)]
pub(super) struct Temporary {
    directory: Directory,
    name: String,
    file: File,
    renamed: bool,
}

impl Temporary {
    pub(super) fn create(base: &Directory, anchored: &Anchored) -> StorageResult<Self> {
        for _ in 0..TRIES {
            if let Some(temporary) = Self::try_create(base.child_or_create(DIRECTORY, anchored)?)? {
                return Ok(temporary);
            }
        }
        Err(StorageError::unavailable("each temporary file was swept away by another process"))
    }

    /// `None`: another one was faster.
    fn try_create(directory: Directory) -> StorageResult<Option<Self>> {
        let name = format!("{:016x}", fastrand::u64(..));
        // Also for reading: NFS refuses a shared lock on what is open only for writing.
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match retry_on_intr(|| openat(directory.fd(), &name, flags, Mode::RUSR | Mode::WUSR)) {
            Ok(fd) => File::from(fd),
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(from_errno(errno, "creating", &directory.place(&name))),
        };
        let temporary = Self { directory, name, file, renamed: false };
        let failed = |errno, doing| from_errno(errno, doing, &temporary.directory.place(&temporary.name));
        // Shared, because it stays on the file after the rename, where readers share it. A sweep
        // wants the file alone, so it is locked, or swept already and without a name. Where there
        // are no locks, nothing is swept. EBADF is how some network file systems refuse a kind of
        // lock.
        match retry_on_intr(|| flock(&temporary.file, FlockOperation::NonBlockingLockShared)) {
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL | Errno::BADF) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(failed(errno, "locking")),
        }
        let stat = fstat(&temporary.file).map_err(|errno| failed(errno, "reading the attributes of"))?;
        Ok((stat.st_nlink > 0).then_some(temporary))
    }

    /// Writes and syncs. After a failed sync nobody knows what is on the disk, and trying again
    /// would tell nothing: the file goes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> StorageResult<()> {
        let failed = |error: std::io::Error, doing| from_io(&error, doing, &self.directory.place(&self.name));
        let mut file = &self.file;
        file.write_all(bytes).map_err(|error| failed(error, "writing"))?;
        file.sync_all().map_err(|error| failed(error, "syncing"))
    }

    /// Puts it in the place of a file.
    pub(super) fn rename(mut self, target: &Directory, name: &str) -> Result<(), WriteError> {
        match retry_on_intr(|| renameat(self.directory.fd(), &self.name, target.fd(), name)) {
            Ok(()) => {
                self.renamed = true;
                Ok(())
            }
            // The journal failed in the middle.
            Err(Errno::IO) => {
                Err(WriteError::Doubtful(from_errno(Errno::IO, "renaming to", &target.place(name))))
            }
            Err(errno) => Err(WriteError::Nothing(from_errno(errno, "renaming to", &target.place(name)))),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // What stays is swept later.
            let _ = self.directory.remove(&self.name);
        }
    }
}

/// Removes files of writers that are gone: those of our names that nobody has locked.
pub(super) fn sweep(base: &Directory) -> StorageResult<()> {
    let Some(directory) = base.child(DIRECTORY)? else { return Ok(()) };
    let mut names = Vec::new();
    directory.entries(|name, kind| {
        let ours = name.len() == NAME_LEN && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if ours && matches!(kind, FileType::RegularFile | FileType::Unknown) {
            names.push(name.to_owned());
        }
    })?;
    // Also for writing: NFS refuses an exclusive lock on what is open only for reading.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for name in names {
        let Ok(file) = openat(directory.fd(), &name, flags, Mode::empty()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // What cannot be removed now is at the next opening.
            let _ = directory.remove(&name);
        }
    }
    Ok(())
}
