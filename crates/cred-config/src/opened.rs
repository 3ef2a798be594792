//! Opens and checks configuration files and files with secrets. Each file is opened once and the
//! checks apply to the open file, so that it cannot be replaced between the check and the use.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use cred_core::Zeroizing;

use crate::file::Origin;

/// Exceptions to the file checks. A project's file cannot make any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exceptions {
    /// User ids that may own files, in addition to this user and root.
    pub(crate) owners: Vec<u32>,
    /// Whether files with secrets may be readable by a group or by all users.
    pub(crate) shared_secrets: bool,
}

/// The fix for a configuration file of another user. A given file may belong to any user, so
/// `--config` helps with configuration files, but not with secrets.
const CONFIG_OWNER_ADVICE: &str =
    "name it with --config, or put `owners = [OWNER]` below `[files]` in your own cred.toml";
const SECRET_OWNER_ADVICE: &str = "put `owners = [OWNER]` below `[files]` in your own cred.toml";
/// The end of the fix for a secret that other users can read.
const SECRET_MODE_ADVICE: &str = ", or, where the platform sets the mode, put `shared_secrets = true` below `[files]` in your own cred.toml";

/// Opens a `cred.toml` and returns its bytes, or `None` if it has more than `limit`. The error is
/// the end of a sentence that begins with the file, and contains the fix.
pub(crate) fn read_config(
    path: &Path,
    origin: Origin,
    exceptions: &Exceptions,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let is_given = origin == Origin::Given;
    let entry = fs::symlink_metadata(path)?;
    if origin == Origin::Project && entry.is_symlink() {
        // Its relative paths would be relative to this folder, but its contents would be those of
        // another project.
        return Err(
            "is a link, which is not allowed for a project's file; name the target with --config".into()
        );
    }
    let (file, found) = open_file(path, is_given)?;
    if !is_given {
        check_owner(&entry, exceptions, CONFIG_OWNER_ADVICE)
            .and_then(|()| check_owner(&found, exceptions, CONFIG_OWNER_ADVICE))?;
    }
    check_not_writable(&found, &path.display().to_string())?;
    if found.is_file() {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        check_folder_access(folder.unwrap_or(Path::new(".")), (!is_given).then_some(exceptions))?;
    }
    read_limited(file, limit)
}

/// Reads a file of this user under the rules for the user's own `cred.toml`: it must be a regular
/// file that belongs to this user or to root, and that other users can neither write nor replace.
/// Returns `None` if it has more than `limit` bytes. Blocks.
///
/// # Errors
/// If the file cannot be read or breaks a rule.
pub fn read_of_user(path: &Path, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    read_config(path, Origin::User, &Exceptions::default(), limit)
}

/// Checks that a project's `cred.toml` in this folder would be accepted: the folder belongs to this
/// user or to root, and other users cannot write it. Blocks.
///
/// # Errors
/// If the folder breaks a rule or cannot be read.
pub fn check_folder(folder: &Path) -> Result<(), Refusal> {
    check_folder_access(folder, Some(&Exceptions::default()))
}

/// Opens a file with a secret and returns its bytes, or `None` if it has more than `limit`. The
/// error is the end of a sentence that begins with `a file that`. It does not repeat the path,
/// since a secret may have been written there. `exceptions` is `None` if the configuration cannot
/// make any.
pub(crate) fn read_secret(
    path: &Path,
    exceptions: Option<&Exceptions>,
    limit: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let none = Exceptions::default();
    let (exceptions, owner_advice, reader_advice) = match exceptions {
        Some(exceptions) => (exceptions, SECRET_OWNER_ADVICE, SECRET_MODE_ADVICE),
        None => (&none, "change its owner", ""),
    };
    let (file, found) = open_file(path, true)?;
    check_owner(&found, exceptions, owner_advice)?;
    check_not_writable(&found, "FILE")?;
    check_not_readable(&found, exceptions, reader_advice)?;
    if found.is_file() {
        check_owner(&fs::symlink_metadata(path)?, exceptions, owner_advice)?;
        check_folder_access(path.parent().unwrap_or(Path::new("/")), None)?;
    }
    read_limited(file, limit)
}

/// The reason why a file is rejected.
#[derive(Debug)]
pub struct Refusal {
    /// The problem and the fix, as the end of a sentence that begins with the file.
    pub(crate) problem: String,
    /// The error of the operating system, if the file could not be read.
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

fn read_limited(file: File, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    wait_for_writer(&file)?;
    let mut content = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    Ok((content.len() <= limit).then_some(content))
}

#[cfg(unix)]
use unix::{
    check_folder_access, check_not_readable, check_not_writable, check_owner, open_file, wait_for_writer,
};

#[cfg(unix)]
pub use unix::{is_of_another_user, is_shared};

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::OFlags;
    use rustix::io::Errno;

    use super::*;

    const READER_BITS: u32 = 0o077;
    const STICKY: u32 = 0o1000;

    /// How long a read waits for the writer of a pipe.
    const PIPE_TIMEOUT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

    /// Opens a regular file, or a pipe if that is allowed. Opens no other type, since opening a
    /// device may have an effect. Does not wait for the writer of a pipe.
    pub(super) fn open_file(path: &Path, may_be_pipe: bool) -> Result<(File, Metadata), Refusal> {
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

    /// Waits until a pipe has data or was closed. A pipe that no process has opened for writing yet
    /// would read as empty.
    pub(super) fn wait_for_writer(file: &File) -> Result<(), Refusal> {
        loop {
            let mut waited = [PollFd::new(file, PollFlags::IN)];
            match poll(&mut waited, Some(&PIPE_TIMEOUT)) {
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

    /// The mode bits that let other users write. A private group is ignored: on many systems the
    /// group of a user has the id of the user and no other member, and the umask is 002.
    fn writer_bits(found: &Metadata) -> u32 {
        let me = rustix::process::geteuid();
        let (user, group) = (me.as_raw(), rustix::process::getegid().as_raw());
        let is_private = !me.is_root() && group == user && found.gid() == user && found.uid() == user;
        if is_private { 0o002 } else { 0o022 }
    }

    pub(super) fn check_owner(
        found: &Metadata,
        exceptions: &Exceptions,
        advice: &str,
    ) -> Result<(), Refusal> {
        let (owner, me) = (found.uid(), rustix::process::geteuid().as_raw());
        if owner == me || owner == 0 || exceptions.owners.contains(&owner) {
            return Ok(());
        }
        let advice = advice.replace("OWNER", &owner.to_string());
        Err(format!("belongs to another user ({owner}), which can change it; {advice}").into())
    }

    pub(super) fn check_not_writable(found: &Metadata, name: &str) -> Result<(), Refusal> {
        let mode = found.mode() & 0o7777;
        if found.is_file() && mode & writer_bits(found) != 0 {
            let problem = format!("can be written by other users (mode {mode:04o}); run `chmod go-w {name}`");
            return Err(problem.into());
        }
        Ok(())
    }

    /// Accepts a file of root with mode 0440: systemd (`LoadCredential`) and Kubernetes (`fsGroup`)
    /// provide secrets that way, and this user cannot change the mode.
    pub(super) fn check_not_readable(
        found: &Metadata,
        exceptions: &Exceptions,
        advice: &str,
    ) -> Result<(), Refusal> {
        let mode = found.mode() & 0o7777;
        let is_provided_by_root =
            found.uid() == 0 && !rustix::process::geteuid().is_root() && mode & 0o007 == 0;
        if is_pipe(found) || mode & READER_BITS == 0 || is_provided_by_root || exceptions.shared_secrets {
            return Ok(());
        }
        Err(format!("is readable by other users (mode {mode:04o}); run `chmod 600` on it{advice}").into())
    }

    /// Rejects a folder that other users can write, since they could replace the file, unless the
    /// folder is sticky. `exceptions` apply to the owner of the folder; with `None`, any user may
    /// own it.
    pub(super) fn check_folder_access(folder: &Path, exceptions: Option<&Exceptions>) -> Result<(), Refusal> {
        let found = fs::metadata(folder)?;
        let mode = found.mode() & 0o7777;
        if mode & writer_bits(&found) != 0 && mode & STICKY == 0 {
            return Err(format!(
                "is in a folder that other users can write (mode {mode:04o}); run `chmod go-w` on the folder"
            )
            .into());
        }
        match exceptions {
            Some(exceptions) => check_owner(&found, exceptions, CONFIG_OWNER_ADVICE).map_err(|refusal| {
                Refusal { problem: format!("is in a folder that {}", refusal.problem), ..refusal }
            }),
            None => Ok(()),
        }
    }

    /// Whether a folder is shared by all users, as `/tmp` is: each user can add files but not
    /// remove those of others. Always false on systems other than Unix.
    pub fn is_shared(folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|found| found.mode() & 0o002 != 0 && found.mode() & STICKY != 0)
    }

    /// Whether a file, or a link itself, belongs to another user. Always false on systems other
    /// than Unix.
    pub fn is_of_another_user(path: &Path) -> bool {
        let me = rustix::process::geteuid().as_raw();
        fs::symlink_metadata(path).is_ok_and(|found| found.uid() != me)
    }
}

/// On other systems, access depends on the ACL of the folder, which is not checked.
#[cfg(not(unix))]
use elsewhere::{
    check_folder_access, check_not_readable, check_not_writable, check_owner, open_file, wait_for_writer,
};

#[cfg(not(unix))]
pub use elsewhere::{is_of_another_user, is_shared};

#[cfg(not(unix))]
mod elsewhere {
    use super::*;

    pub(super) fn open_file(path: &Path, _: bool) -> Result<(File, Metadata), Refusal> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        if found.is_file() { Ok((file, found)) } else { Err("is not a regular file".into()) }
    }

    pub(super) fn wait_for_writer(_: &File) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn check_owner(_: &Metadata, _: &Exceptions, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn check_not_writable(_: &Metadata, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn check_not_readable(_: &Metadata, _: &Exceptions, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    pub(super) fn check_folder_access(_: &Path, _: Option<&Exceptions>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Always false: not checked on this system.
    pub fn is_shared(_: &Path) -> bool {
        false
    }

    /// Always false: not checked on this system.
    pub fn is_of_another_user(_: &Path) -> bool {
        false
    }
}
