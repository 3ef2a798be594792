//! Directories and files below the base, opened one path component at a time. No component is
//! resolved through a link, and checks apply to the open file itself, not to its path.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind, StorageResult};
#[cfg(target_os = "linux")]
use rustix::fs::RawDir;
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawMode, Stat, flock, fstat, fsync, mkdirat, open,
    openat, stat, statat, unlinkat,
};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::geteuid;

use super::durable::{DurableDirectories, Identity};
use crate::error::{WriteError, from_errno, from_io};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// `NONBLOCK`: opening a pipe must not wait for its other end.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Which directories are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Directories of this user that no other user can write.
    Owner,
    /// Also directories that other users can write, and directories of root.
    OpenDirectories,
}

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    fd: File,
    identity: Identity,
    path: PathBuf,
    trust: Trust,
}

impl Directory {
    /// Opens the base, or returns `None` if it does not exist. Only the base may be a link, since
    /// the user named it.
    pub(super) fn base(path: &Path, trust: Trust) -> StorageResult<Option<Self>> {
        let opened = retry_on_intr(|| open(path, DIRECTORY, Mode::empty()));
        Self::trusted(opened, trust, || path.to_owned())
    }

    /// Creates the base and any missing parent directories.
    pub(super) fn create_base(path: &Path, trust: Trust) -> StorageResult<Self> {
        create_durably(path)?;
        let missing = || StorageError::unavailable(format!("its directory `{}` was removed", path.display()));
        Self::base(path, trust)?.ok_or_else(missing)
    }

    /// Whether this path leads to the same directory. Fails if the directory is not trusted any
    /// more.
    pub(super) fn is_at(&self, path: &Path) -> StorageResult<bool> {
        match stat(path) {
            Ok(stat) if Identity::of(&stat) == self.identity => {
                check_directory(&stat, self.trust, || path.to_owned()).map(|()| true)
            }
            Ok(_) | Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(from_errno(errno, "reading the attributes of", path)),
        }
    }

    /// Opens a subdirectory, or returns `None` if it does not exist.
    pub(super) fn child(&self, name: &str) -> StorageResult<Option<Self>> {
        let opened = retry_on_intr(|| openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()));
        Self::trusted(opened, self.trust, || self.path.join(name))
    }

    /// Opens a subdirectory, creating it if it does not exist, and makes it durable in either case.
    pub(super) fn child_or_create(&self, name: &str, durable: &DurableDirectories) -> StorageResult<Self> {
        let entry = (self.identity, name.into());
        let child = match self.child(name)? {
            Some(child) => child,
            None => {
                durable.forget(&entry);
                self.create(name)?
            }
        };
        // Also if it already existed: the process that created it may not have synced it yet, or
        // was killed before it did.
        durable.sync_once(entry, child.identity, || self.sync())?;
        Ok(child)
    }

    fn create(&self, name: &str) -> StorageResult<Self> {
        match retry_on_intr(|| mkdirat(&self.fd, name, Mode::RWXU)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(from_errno(errno, "creating", &self.path.join(name))),
        }
        let removed =
            || StorageError::unavailable(format!("`{}` was removed", self.path.join(name).display()));
        self.child(name)?.ok_or_else(removed)
    }

    /// Makes this directory survive a power cut: syncs its parent, and each directory above up to
    /// the first one of another user.
    pub(super) fn sync_ancestors_once(&self, durable: &DurableDirectories) -> StorageResult<()> {
        durable.sync_once((self.identity, "..".into()), self.identity, || {
            self.sync_ancestors()
                .map_err(|errno| from_errno(errno, "syncing the directories above", &self.path))
        })
    }

    fn sync_ancestors(&self) -> Result<(), Errno> {
        let (mut parent, mut identity) = (None, self.identity);
        loop {
            let from = parent.as_ref().unwrap_or(&self.fd);
            let above = match retry_on_intr(|| openat(from, "..", DIRECTORY, Mode::empty())) {
                // A directory that this user cannot open was created by another user, long before.
                Err(Errno::ACCESS) => return Ok(()),
                above => File::from(above?),
            };
            match retry_on_intr(|| fsync(&above)) {
                // The base may be mounted on a read-only file system, which cannot be synced.
                Ok(()) | Err(Errno::ROFS | Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
            let stat = fstat(&above)?;
            // Only directories of this user can have been created for the base. The parent of the
            // root is the root itself.
            if stat.st_uid != geteuid().as_raw() || Identity::of(&stat) == identity {
                return Ok(());
            }
            identity = Identity::of(&stat);
            parent = Some(above);
        }
    }

    pub(super) fn fd(&self) -> &File {
        &self.fd
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a credential file for reading, or returns `None` if it does not exist.
    pub(super) fn open_file(&self, name: &str) -> StorageResult<Option<OpenFile>> {
        let path = || self.path.join(name);
        let fd = match retry_on_intr(|| openat(&self.fd, name, FILE, Mode::empty())) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            // Opening a socket fails with ENXIO.
            Err(Errno::NXIO) => return Err(not_regular(&path())),
            Err(errno) => return Err(from_errno(errno, "opening", &path())),
        };
        let stat = fstat(&fd).map_err(|errno| from_errno(errno, "reading the attributes of", &path()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_regular(&path()));
        }
        check_owner(&stat, path)?;
        if let Some(mode) = open_mode(&stat, Mode::RWXG | Mode::RWXO) {
            let path = path();
            let path = path.display();
            return Err(denied(format!(
                "`{path}` has mode {mode:o}, which gives other users access; run `chmod 600` on it"
            )));
        }
        let length = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        Ok(Some(OpenFile { file: File::from(fd), length, path: path() }))
    }

    /// Whether a file of this name exists, whatever it contains.
    pub(super) fn has_file(&self, name: &str) -> StorageResult<bool> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) != FileType::Directory),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(from_errno(errno, "reading the attributes of", &self.path.join(name))),
        }
    }

    /// Removes a file, if it exists.
    pub(super) fn remove(&self, name: &str) -> Result<(), WriteError> {
        let failed = |errno| from_errno(errno, "removing", &self.path.join(name));
        match retry_on_intr(|| unlinkat(&self.fd, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // The file system's journal may have failed midway.
            Err(Errno::IO) => Err(WriteError::OutcomeUnknown(failed(Errno::IO))),
            Err(errno) => Err(WriteError::NothingWritten(failed(errno))),
        }
    }

    /// Makes files created, renamed and removed in this directory survive a power cut.
    pub(super) fn sync(&self) -> StorageResult<()> {
        // `sync_all` uses F_FULLFSYNC on Apple's systems, where `fsync` does not flush the disk.
        self.fd.sync_all().map_err(|error| from_io(&error, "syncing", &self.path))
    }

    /// Calls `each` with the name and the type of each entry, in no order. Skips names that are not
    /// UTF-8, which cannot be names of credentials.
    pub(super) fn entries(&self, mut each: impl FnMut(&str, FileType)) -> StorageResult<()> {
        let failed = |errno| from_errno(errno, "listing", &self.path);
        let mut take = |name: &CStr, kind: FileType| {
            let Ok(name) = name.to_str() else { return };
            let kind = match kind {
                // This file system does not report types in listings. An entry that was removed
                // meanwhile stays `Unknown`, and opening it finds that out.
                FileType::Unknown => statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            each(name, kind);
        };
        #[cfg(target_os = "linux")]
        {
            // A new handle, because a handle has one read position. `Dir` would read only about 30
            // names at a time.
            let fd = retry_on_intr(|| openat(&self.fd, ".", DIRECTORY, Mode::empty())).map_err(failed)?;
            let mut buffer = Vec::with_capacity(32 * 1_024);
            let mut entries = RawDir::new(fd, buffer.spare_capacity_mut());
            while let Some(entry) = entries.next() {
                let entry = entry.map_err(failed)?;
                take(entry.file_name(), entry.file_type());
            }
        }
        #[cfg(not(target_os = "linux"))]
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            take(entry.file_name(), entry.file_type());
        }
        Ok(())
    }

    /// When an entry of the directory last changed: seconds and nanoseconds.
    pub(super) fn changed(&self) -> StorageResult<(i64, u32)> {
        let stat =
            fstat(&self.fd).map_err(|errno| from_errno(errno, "reading the attributes of", &self.path))?;
        #[allow(clippy::useless_conversion, reason = "the types differ among systems")]
        Ok((i64::from(stat.st_mtime), u32::try_from(stat.st_mtime_nsec).unwrap_or_default()))
    }

    /// Rejects a directory that other users can write: they could replace any file in it.
    fn trusted(
        opened: Result<OwnedFd, Errno>,
        trust: Trust,
        path: impl Fn() -> PathBuf,
    ) -> StorageResult<Option<Self>> {
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(from_errno(errno, "opening", &path())),
        };
        let path = path();
        let stat = fstat(&fd).map_err(|errno| from_errno(errno, "reading the attributes of", &path))?;
        check_directory(&stat, trust, || path.clone())?;
        Ok(Some(Self { fd: File::from(fd), identity: Identity::of(&stat), path, trust }))
    }
}

/// A file that is open for reading.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    /// The size in bytes when it was opened.
    length: usize,
    path: PathBuf,
}

impl OpenFile {
    /// Takes a shared lock, which excludes programs that lock the file exclusively to edit it in
    /// place. Writers of this crate never edit a file after its rename.
    pub(super) fn lock_shared(&self) -> StorageResult<()> {
        // A sweep locks a file for a moment to find out whether it is in use, and for longer if its
        // thread has to wait for a core.
        for wait_ms in [1, 2, 4, 8, 16, 32] {
            match flock(self.file.as_fd(), FlockOperation::NonBlockingLockShared) {
                Err(Errno::WOULDBLOCK) => sleep(Duration::from_millis(wait_ms)),
                // Some file systems have no locks, so no program can edit under one.
                _ => return Ok(()),
            }
        }
        let path = self.path.display();
        Err(StorageError::unavailable(format!("another program holds an exclusive lock on `{path}`")))
    }

    /// Reads the whole file. Fails if it is longer than `limit` bytes.
    pub(super) fn read(self, limit: usize) -> StorageResult<Vec<u8>> {
        let Self { file, length, path } = self;
        let too_long = || {
            let path = path.display();
            StorageError::corrupted(format!(
                "`{path}` is longer than the {limit} bytes that this provider reads"
            ))
        };
        if length > limit {
            return Err(too_long());
        }
        // One extra byte detects a file that grew. Otherwise reading stops once `length` bytes were
        // read, without another system call.
        let mut bytes = vec![0; length.saturating_add(1)];
        let mut filled = 0;
        loop {
            let room = bytes.get_mut(filled..).unwrap_or_default();
            let count = retry_on_intr(|| read(&file, &mut *room))
                .map_err(|errno| from_errno(errno, "reading", &path))?;
            filled = filled.saturating_add(count);
            if filled > length {
                return Err(StorageError::corrupted(format!("`{}` grew while it was read", path.display())));
            }
            if count == 0 || filled == length {
                break;
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// Rejects a directory in which other users can replace files, unless `trust` accepts it.
fn check_directory(stat: &Stat, trust: Trust, path: impl Fn() -> PathBuf) -> StorageResult<()> {
    // Root can write everywhere in any case.
    if trust == Trust::OpenDirectories && stat.st_uid == 0 {
        return Ok(());
    }
    check_owner(stat, &path)?;
    match open_mode(stat, Mode::WGRP | Mode::WOTH) {
        Some(mode) if trust == Trust::Owner => {
            let path = path();
            let path = path.display();
            Err(denied(format!(
                "other users can write `{path}` (mode {mode:o}); run `chmod 700` on it, or set \
                 `allow_open_dirs` if its file system has no other mode"
            )))
        }
        _ => Ok(()),
    }
}

/// Rejects a file or directory of another user.
fn check_owner(stat: &Stat, path: impl Fn() -> PathBuf) -> StorageResult<()> {
    if stat.st_uid == geteuid().as_raw() {
        return Ok(());
    }
    let (path, owner) = (path(), stat.st_uid);
    Err(denied(format!("`{}` belongs to user {owner}, not to the user of this process", path.display())))
}

/// Returns the mode if it grants one of the forbidden permissions.
fn open_mode(stat: &Stat, forbidden: Mode) -> Option<RawMode> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    mode.intersects(forbidden).then_some(mode.bits() & 0o7777)
}

fn denied(reason: String) -> StorageError {
    StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
}

fn not_regular(path: &Path) -> StorageError {
    StorageError::corrupted(format!("`{}` is not a regular file", path.display()))
}

/// Creates a directory and its missing parents, and syncs the parent of each.
fn create_durably(path: &Path) -> StorageResult<()> {
    let create = || retry_on_intr(|| mkdirat(CWD, path, Mode::RWXU));
    let Some(above) = path.parent() else { return Ok(()) };
    let mut created = create();
    if created == Err(Errno::NOENT) {
        create_durably(above)?;
        created = create();
    }
    match created {
        // Another process may have created it first and not have synced it yet.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(from_errno(errno, "creating", path)),
    }
    File::open(above).and_then(|above| above.sync_all()).map_err(|error| from_io(&error, "syncing", above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of_ten_bytes(length: usize) -> StorageResult<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        OpenFile { file: File::open(&path).unwrap(), length, path }.read(100)
    }

    #[test]
    fn a_file_whose_size_changes_after_the_check_takes_no_more_memory() {
        assert_eq!(read_of_ten_bytes(10).unwrap(), b"0123456789");
        assert_eq!(read_of_ten_bytes(99).unwrap(), b"0123456789", "the file became shorter");
        assert!(read_of_ten_bytes(9).unwrap_err().to_string().contains("grew while it was read"));
        assert!(read_of_ten_bytes(101).unwrap_err().to_string().contains("longer than the 100 bytes"));
    }
}
