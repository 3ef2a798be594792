//! Opens the files that decide where secrets go, and those that hold one. A file is opened once and
//! judged by what was opened, so that nothing can be exchanged between the check and the use.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use cred_core::Zeroizing;

use crate::file::Origin;

/// Exceptions to the rules, which a project's file cannot make.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exceptions {
    /// User ids, beside this user and root, that may own the files.
    pub(crate) owners: Vec<u32>,
    /// Whether files with secrets may be readable by a group or by all users.
    pub(crate) shared_secrets: bool,
}

/// What to do about a file of another user. Given files may belong to any user, so `--config` of
/// the program helps with settings, and not with secrets.
const NAME_IT: &str =
    "name it with --config, or put `owners = [OWNER]` below `[files]` in your own cred.toml";
const SET_OWNERS: &str = "put `owners = [OWNER]` below `[files]` in your own cred.toml";
/// The end of what to do about a secret that other users can read.
const SET_SHARED: &str = ", or, where the platform sets the mode, put `shared_secrets = true` below `[files]` in your own cred.toml";

/// Opens a `cred.toml` and returns its bytes, `None` if it has more than `limit`. The error ends
/// a sentence that begins with the file, and says what to do.
pub(crate) fn settings(
    path: &Path,
    origin: Origin,
    exceptions: &Exceptions,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let is_given = origin == Origin::Given;
    let entry = fs::symlink_metadata(path)?;
    if origin == Origin::Project && entry.is_symlink() {
        // Its relative paths would count from here, and its contents would be those of another
        // project.
        return Err(
            "is a link, which a project's file cannot be; name the file that is meant with --config".into()
        );
    }
    let (file, found) = opened(path, is_given)?;
    if !is_given {
        owned(&entry, exceptions, NAME_IT).and_then(|()| owned(&found, exceptions, NAME_IT))?;
    }
    closed_to_writers(&found, &path.display().to_string())?;
    if found.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder_closed(folder.unwrap_or(Path::new(".")), (!is_given).then_some(exceptions))?;
    }
    contents(file, limit)
}

/// Reads a file of this user that decides something, by the rules for the user's own `cred.toml`:
/// a regular file that belongs to this user or to root, and that other users can neither write nor
/// replace. `None` if it has more than `limit` bytes. Blocks.
///
/// # Errors
/// If the file cannot be read or breaks a rule.
pub fn read_of_user(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    settings(path, Origin::User, &Exceptions::default(), limit)
}

/// Checks that a `cred.toml` of a project in this folder could be used: the folder belongs to this
/// user or to root, and other users cannot write it. Blocks.
///
/// # Errors
/// If it could not.
pub fn check_folder(folder: &Path) -> Result<(), Refusal> {
    folder_closed(folder, Some(&Exceptions::default()))
}

/// Opens a file with a secret and returns its bytes, `None` if it has more than `limit`. The error
/// ends a sentence that begins with `a file that`, and does not repeat the path, in whose place
/// a secret may have been written. `exceptions`: `None` where the configuration can make none.
pub(crate) fn secret(
    path: &Path,
    exceptions: Option<&Exceptions>,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let none = Exceptions::default();
    let (exceptions, owner_advice, reader_advice) = match exceptions {
        Some(exceptions) => (exceptions, SET_OWNERS, SET_SHARED),
        None => (&none, "change its owner", ""),
    };
    let (file, found) = opened(path, true)?;
    owned(&found, exceptions, owner_advice)?;
    closed_to_writers(&found, "FILE")?;
    closed_to_readers(&found, exceptions, reader_advice)?;
    if found.is_file() {
        owned(&fs::symlink_metadata(path)?, exceptions, owner_advice)?;
        folder_closed(path.parent().unwrap_or(Path::new("/")), None)?;
    }
    contents(file, limit)
}

/// Why a file is not used.
#[derive(Debug)]
pub struct Refusal {
    /// What is wrong and what to do: the end of a sentence that begins with the file.
    pub(crate) problem: String,
    /// What the system reported, if the file could not be read.
    pub(crate) source: Option<io::Error>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self {
            problem: format!(
                "could not be read ({}); check that it exists and that this user can read it",
                error.kind()
            ),
            source: Some(error),
        }
    }
}

impl From<&str> for Refusal {
    fn from(problem: &str) -> Self {
        problem.to_owned().into()
    }
}

impl From<String> for Refusal {
    fn from(problem: String) -> Self {
        Self { problem, source: None }
    }
}

fn contents(file: File, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    wait_for_writer(&file)?;
    let mut content = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    Ok((content.len() <= limit).then_some(content))
}

#[cfg(unix)]
use unix::{closed_to_readers, closed_to_writers, folder_closed, opened, owned, wait_for_writer};

#[cfg(unix)]
pub use unix::{is_of_another_user, is_shared};

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use super::*;

    const READERS: u32 = 0o077;
    const STICKY: u32 = 0o1000;

    /// How long a pipe is waited for whose writer has not come yet.
    const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

    /// Opens a regular file, or a pipe if that is allowed, and nothing else: opening a device may
    /// have an effect. Opening does not wait for the writer of a pipe.
    pub(super) fn opened(path: &Path, may_be_pipe: bool) -> Result<(File, Metadata), Refusal> {
        let is_usable = |found: &Metadata| found.is_file() || may_be_pipe && is_pipe(found);
        if !is_usable(&fs::metadata(path)?) {
            return Err("is not a regular file".into());
        }
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
        let found = file.metadata()?;
        if !is_usable(&found) {
            return Err("is not a regular file".into());
        }
        let flags = rustix::fs::fcntl_getfl(&file).map_err(io::Error::from)?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(io::Error::from)?;
        Ok((file, found))
    }

    /// A pipe that no process has opened for writing yet would read as empty.
    pub(super) fn wait_for_writer(file: &File) -> Result<(), Refusal> {
        loop {
            let mut waited = [PollFd::new(file, PollFlags::IN)];
            match poll(&mut waited, Some(&PATIENCE)) {
                Ok(0) => return Err("is a pipe that no process wrote to within 30 s".into()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    fn is_pipe(found: &Metadata) -> bool {
        found.file_type().is_fifo()
    }

    /// The bits of a mode that let other users write. The group does not count that has this user
    /// alone, by the convention of many systems that it has the number of the user: their umask is
    /// 002.
    fn writers(found: &Metadata) -> u32 {
        let me = rustix::process::geteuid();
        let (user, group) = (me.as_raw(), rustix::process::getegid().as_raw());
        let is_private = !me.is_root() && group == user && found.gid() == user && found.uid() == user;
        if is_private { 0o002 } else { 0o022 }
    }

    pub(super) fn owned(found: &Metadata, exceptions: &Exceptions, advice: &str) -> Result<(), Refusal> {
        let (owner, me) = (found.uid(), rustix::process::geteuid().as_raw());
        if owner == me || owner == 0 || exceptions.owners.contains(&owner) {
            return Ok(());
        }
        let advice = advice.replace("OWNER", &owner.to_string());
        Err(format!("belongs to another user ({owner}), who could change it; {advice}").into())
    }

    pub(super) fn closed_to_writers(found: &Metadata, name: &str) -> Result<(), Refusal> {
        let mode = found.mode() & 0o7777;
        if found.is_file() && mode & writers(found) != 0 {
            let problem = format!("can be written by other users (mode {mode:04o}); run `chmod go-w {name}`");
            return Err(problem.into());
        }
        Ok(())
    }

    /// A file of root with mode 0440 is how systemd (`LoadCredential`) and Kubernetes (`fsGroup`)
    /// hand a secret to this user, who cannot change the mode.
    pub(super) fn closed_to_readers(
        found: &Metadata,
        exceptions: &Exceptions,
        advice: &str,
    ) -> Result<(), Refusal> {
        let mode = found.mode() & 0o7777;
        let is_handed_out = found.uid() == 0 && !rustix::process::geteuid().is_root() && mode & 0o007 == 0;
        if is_pipe(found) || mode & READERS == 0 || is_handed_out || exceptions.shared_secrets {
            return Ok(());
        }
        Err(format!("is readable by other users (mode {mode:04o}); run `chmod 600` on it{advice}").into())
    }

    /// A user that can write the folder can put another file in its place, unless the folder is
    /// sticky. `exceptions`: for the owner of the folder; `None`: any user may own it.
    pub(super) fn folder_closed(folder: &Path, exceptions: Option<&Exceptions>) -> Result<(), Refusal> {
        let found = fs::metadata(folder)?;
        let mode = found.mode() & 0o7777;
        if mode & writers(&found) != 0 && mode & STICKY == 0 {
            return Err(format!(
                "is in a folder that other users can write (mode {mode:04o}); run `chmod go-w` on the folder"
            )
            .into());
        }
        match exceptions {
            Some(exceptions) => owned(&found, exceptions, NAME_IT).map_err(|refusal| Refusal {
                problem: format!("is in a folder that {}", refusal.problem),
                ..refusal
            }),
            None => Ok(()),
        }
    }

    /// Whether a folder is for all users, as `/tmp` is: each can add files, and remove none of
    /// another user's. False on other systems than Unix.
    pub fn is_shared(folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|found| found.mode() & 0o002 != 0 && found.mode() & STICKY != 0)
    }

    /// Whether a file, or a link itself, belongs to another user. False on other systems than Unix.
    pub fn is_of_another_user(path: &Path) -> bool {
        let me = rustix::process::geteuid().as_raw();
        fs::symlink_metadata(path).is_ok_and(|found| found.uid() != me)
    }
}

/// Access is a matter of the folder's ACL there.
#[cfg(not(unix))]
use elsewhere::{closed_to_readers, closed_to_writers, folder_closed, opened, owned, wait_for_writer};

#[cfg(not(unix))]
pub use elsewhere::{is_of_another_user, is_shared};

#[cfg(not(unix))]
mod elsewhere {
    use super::*;

    pub(super) fn opened(path: &Path, _: bool) -> Result<(File, Metadata), Refusal> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        if found.is_file() { Ok((file, found)) } else { Err("is not a regular file".into()) }
    }

    pub(super) fn wait_for_writer(_: &File) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn owned(_: &Metadata, _: &Exceptions, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn closed_to_writers(_: &Metadata, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn closed_to_readers(_: &Metadata, _: &Exceptions, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn folder_closed(_: &Path, _: Option<&Exceptions>) -> Result<(), Refusal> {
        Ok(())
    }

    /// No folder is, as far as this library knows.
    pub fn is_shared(_: &Path) -> bool {
        false
    }

    /// No file is, as far as this library knows.
    pub fn is_of_another_user(_: &Path) -> bool {
        false
    }
}
