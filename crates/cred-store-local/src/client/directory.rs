//! Directories and files below the base, opened one name at a time: no name is ever resolved
//! through a link, and what was checked is what is used.

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

use super::anchored::{Anchored, Identity};
use crate::error::{WriteError, from_errno, from_io};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Opening a pipe must not wait for its other end.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Which directories are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those of this user that no other user can write.
    Owner,
    /// Also those that other users can write, and those of root.
    OpenDirectories,
}

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    fd: File,
    identity: Identity,
    place: PathBuf,
    trust: Trust,
}

impl Directory {
    /// The base; `None`: it is not there. It alone may be a link, as the user named it.
    pub(super) fn base(place: &Path, trust: Trust) -> StorageResult<Option<Self>> {
        let opened = retry_on_intr(|| open(place, DIRECTORY, Mode::empty()));
        Self::trusted(opened, trust, || place.to_owned())
    }

    /// The base, made with all that is missing above it.
    pub(super) fn create_base(place: &Path, trust: Trust) -> StorageResult<Self> {
        create_durably(place)?;
        let missing =
            || StorageError::unavailable(format!("its directory `{}` was removed", place.display()));
        Self::base(place, trust)?.ok_or_else(missing)
    }

    /// Whether it is what is found at this place, and still trusted.
    pub(super) fn is_at(&self, place: &Path) -> StorageResult<bool> {
        match stat(place) {
            Ok(stat) if Identity::of(&stat) == self.identity => {
                check_directory(&stat, self.trust, || place.to_owned()).map(|()| true)
            }
            Ok(_) | Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(from_errno(errno, "reading the attributes of", place)),
        }
    }

    /// A directory in this one; `None`: it is not there.
    pub(super) fn child(&self, name: &str) -> StorageResult<Option<Self>> {
        let opened = retry_on_intr(|| openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()));
        Self::trusted(opened, self.trust, || self.place.join(name))
    }

    /// A directory in this one, made where it is not there, and durable in any case.
    pub(super) fn child_or_create(&self, name: &str, anchored: &Anchored) -> StorageResult<Self> {
        let place = (self.identity, name.into());
        let child = match self.child(name)? {
            Some(child) => child,
            None => {
                anchored.forget(&place);
                self.create(name)?
            }
        };
        // Not only where it was made here: another process may have made it just now, or was killed
        // before it synced.
        anchored.once(place, child.identity, || self.sync())?;
        Ok(child)
    }

    fn create(&self, name: &str) -> StorageResult<Self> {
        match retry_on_intr(|| mkdirat(&self.fd, name, Mode::RWXU)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(from_errno(errno, "creating", &self.place.join(name))),
        }
        let removed =
            || StorageError::unavailable(format!("`{}` was removed", self.place.join(name).display()));
        self.child(name)?.ok_or_else(removed)
    }

    /// Makes the directory itself survive a power cut, in the one that holds it, and so on up to
    /// those of other users.
    pub(super) fn anchor(&self, anchored: &Anchored) -> StorageResult<()> {
        anchored.once((self.identity, "..".into()), self.identity, || {
            self.sync_above().map_err(|errno| from_errno(errno, "syncing the directories above", &self.place))
        })
    }

    fn sync_above(&self) -> Result<(), Errno> {
        let (mut held, mut identity) = (None, self.identity);
        loop {
            let from = held.as_ref().unwrap_or(&self.fd);
            let above = match retry_on_intr(|| openat(from, "..", DIRECTORY, Mode::empty())) {
                // What this user may not open, another one has prepared, long before.
                Err(Errno::ACCESS) => return Ok(()),
                above => File::from(above?),
            };
            match retry_on_intr(|| fsync(&above)) {
                // The base may be mounted on what takes no writes, and so no sync.
                Ok(()) | Err(Errno::ROFS | Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
            let stat = fstat(&above)?;
            // Only a directory of this user can have been made for the base. The root is above
            // itself.
            if stat.st_uid != geteuid().as_raw() || Identity::of(&stat) == identity {
                return Ok(());
            }
            identity = Identity::of(&stat);
            held = Some(above);
        }
    }

    pub(super) fn fd(&self) -> &File {
        &self.fd
    }

    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// A file of ours to be read; `None`: it is not there.
    pub(super) fn open_file(&self, name: &str) -> StorageResult<Option<Content>> {
        let place = || self.place.join(name);
        let fd = match retry_on_intr(|| openat(&self.fd, name, FILE, Mode::empty())) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            // A socket cannot be opened at all.
            Err(Errno::NXIO) => return Err(not_regular(&place())),
            Err(errno) => return Err(from_errno(errno, "opening", &place())),
        };
        let stat = fstat(&fd).map_err(|errno| from_errno(errno, "reading the attributes of", &place()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_regular(&place()));
        }
        check_owner(&stat, place)?;
        if let Some(mode) = open_mode(&stat, Mode::RWXG | Mode::RWXO) {
            let place = place();
            let place = place.display();
            return Err(refused(format!(
                "`{place}` has mode {mode:o} and is open to other users until `chmod 600`"
            )));
        }
        let length = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        Ok(Some(Content { file: File::from(fd), length, place: place() }))
    }

    /// Whether there is a file of this name, whatever is in it.
    pub(super) fn has_file(&self, name: &str) -> StorageResult<bool> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) != FileType::Directory),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(from_errno(errno, "reading the attributes of", &self.place.join(name))),
        }
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), WriteError> {
        let failed = |errno| from_errno(errno, "removing", &self.place.join(name));
        match retry_on_intr(|| unlinkat(&self.fd, name, AtFlags::empty())) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // The journal failed in the middle.
            Err(Errno::IO) => Err(WriteError::Doubtful(failed(Errno::IO))),
            Err(errno) => Err(WriteError::Nothing(failed(errno))),
        }
    }

    /// Makes what was created, renamed and removed here survive a power cut.
    pub(super) fn sync(&self) -> StorageResult<()> {
        // By the standard library, which on Apple's systems asks for what they don't do in `fsync`.
        self.fd.sync_all().map_err(|error| from_io(&error, "syncing", &self.place))
    }

    /// What is in it, in no order, and what the file system said of each; names that are no text
    /// are nobody's of ours.
    pub(super) fn entries(&self, mut each: impl FnMut(&str, FileType)) -> StorageResult<()> {
        let failed = |errno| from_errno(errno, "listing", &self.place);
        let mut take = |name: &CStr, kind: FileType| {
            let Ok(name) = name.to_str() else { return };
            let kind = match kind {
                // This file system does not tell; what is gone meanwhile is told by whoever opens
                // it.
                FileType::Unknown => statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            each(name, kind);
        };
        #[cfg(target_os = "linux")]
        {
            // Opened anew, as each handle has one position. `Dir` asks for some 30 names at a time.
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

    /// When a name in it last changed: seconds and nanoseconds.
    pub(super) fn changed(&self) -> StorageResult<(i64, u32)> {
        let stat =
            fstat(&self.fd).map_err(|errno| from_errno(errno, "reading the attributes of", &self.place))?;
        #[allow(clippy::useless_conversion, reason = "the types differ among systems")]
        Ok((i64::from(stat.st_mtime), u32::try_from(stat.st_mtime_nsec).unwrap_or_default()))
    }

    /// Others who may write a directory can put anything in the place of what is in it.
    fn trusted(
        opened: Result<OwnedFd, Errno>,
        trust: Trust,
        place: impl Fn() -> PathBuf,
    ) -> StorageResult<Option<Self>> {
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(from_errno(errno, "opening", &place())),
        };
        let place = place();
        let stat = fstat(&fd).map_err(|errno| from_errno(errno, "reading the attributes of", &place))?;
        check_directory(&stat, trust, || place.clone())?;
        Ok(Some(Self { fd: File::from(fd), identity: Identity::of(&stat), place, trust }))
    }
}

/// A file that is open for reading.
#[derive(Debug)]
pub(super) struct Content {
    file: File,
    /// Bytes, when it was opened.
    length: usize,
    place: PathBuf,
}

impl Content {
    /// Keeps programs out that lock a file exclusively while they edit it in place. Writers of ours
    /// never do: the file that is renamed is never changed again.
    pub(super) fn share(&self) -> StorageResult<()> {
        // A sweep holds a file for a moment to see whether it is in use; more where its thread has
        // to wait for a core.
        for patience_ms in [1, 2, 4, 8, 16, 32] {
            match flock(self.file.as_fd(), FlockOperation::NonBlockingLockShared) {
                Err(Errno::WOULDBLOCK) => sleep(Duration::from_millis(patience_ms)),
                // Some file systems have no locks; then nobody edits under one.
                _ => return Ok(()),
            }
        }
        let place = self.place.display();
        Err(StorageError::unavailable(format!("another program holds an exclusive lock on `{place}`")))
    }

    /// All of it, if it is at most `limit` bytes.
    pub(super) fn read(self, limit: usize) -> StorageResult<Vec<u8>> {
        let Self { file, length, place } = self;
        let too_long = || {
            let place = place.display();
            StorageError::corrupted(format!(
                "`{place}` is longer than the {limit} bytes that are ever written"
            ))
        };
        if length > limit {
            return Err(too_long());
        }
        // One byte of room more tells a file that grew. A file that did not is at its end when all
        // of it was read, and is not asked again.
        let mut bytes = vec![0; length.saturating_add(1)];
        let mut filled = 0;
        loop {
            let room = bytes.get_mut(filled..).unwrap_or_default();
            let count = retry_on_intr(|| read(&file, &mut *room))
                .map_err(|errno| from_errno(errno, "reading", &place))?;
            filled = filled.saturating_add(count);
            if filled > length {
                return Err(StorageError::corrupted(format!("`{}` grew while it was read", place.display())));
            }
            if count == 0 || filled == length {
                break;
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// Refuses a directory in which other users can replace files, as far as they are not trusted.
fn check_directory(stat: &Stat, trust: Trust, place: impl Fn() -> PathBuf) -> StorageResult<()> {
    // Root can write everywhere anyway.
    if trust == Trust::OpenDirectories && stat.st_uid == 0 {
        return Ok(());
    }
    check_owner(stat, &place)?;
    match open_mode(stat, Mode::WGRP | Mode::WOTH) {
        Some(mode) if trust == Trust::Owner => {
            let place = place();
            let place = place.display();
            Err(refused(format!(
                "`{place}` has mode {mode:o} and is open to other users until `chmod 700`; if its file \
                 system has no other mode, set `allow_open_dirs`"
            )))
        }
        _ => Ok(()),
    }
}

/// Refuses what belongs to another user.
fn check_owner(stat: &Stat, place: impl Fn() -> PathBuf) -> StorageResult<()> {
    if stat.st_uid == geteuid().as_raw() {
        return Ok(());
    }
    let (place, owner) = (place(), stat.st_uid);
    Err(refused(format!("`{}` belongs to user {owner}, not to the user of this process", place.display())))
}

/// The mode, if it grants one of these permissions.
fn open_mode(stat: &Stat, forbidden: Mode) -> Option<RawMode> {
    let mode = Mode::from_raw_mode(stat.st_mode);
    mode.intersects(forbidden).then_some(mode.bits() & 0o7777)
}

fn refused(reason: String) -> StorageError {
    StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
}

fn not_regular(place: &Path) -> StorageError {
    StorageError::corrupted(format!("`{}` is not a regular file", place.display()))
}

/// Makes a directory and those above it, each synced into the one that holds it.
fn create_durably(place: &Path) -> StorageResult<()> {
    let create = || retry_on_intr(|| mkdirat(CWD, place, Mode::RWXU));
    let Some(above) = place.parent() else { return Ok(()) };
    let mut made = create();
    if made == Err(Errno::NOENT) {
        create_durably(above)?;
        made = create();
    }
    match made {
        // Another process was faster, and may not have synced it yet.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(from_errno(errno, "creating", place)),
    }
    File::open(above).and_then(|above| above.sync_all()).map_err(|error| from_io(&error, "syncing", above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of_ten_bytes(length: usize) -> StorageResult<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        std::fs::write(&place, "0123456789").unwrap();
        Content { file: File::open(&place).unwrap(), length, place }.read(100)
    }

    #[test]
    fn a_file_that_changes_its_length_after_it_was_looked_at_takes_no_more_memory() {
        assert_eq!(read_of_ten_bytes(10).unwrap(), b"0123456789");
        assert_eq!(read_of_ten_bytes(99).unwrap(), b"0123456789", "it became shorter");
        assert!(read_of_ten_bytes(9).unwrap_err().to_string().contains("grew while it was read"));
        assert!(read_of_ten_bytes(101).unwrap_err().to_string().contains("longer than the 100 bytes"));
    }
}
