//! Edits of a cred.toml. An edit keeps comments, is atomic, and never overwrites a concurrent
//! change.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cred_config::model::{BOM, ConfigFile, Origin};
use toml_edit::{DocumentMut, Item, Table};

use super::file::user_folder;
use super::ring::to_hex;
use super::trust;
use crate::failure::Failure;

/// Edits a file and keeps its comments, line ends and byte order mark. A project file stays
/// trusted. `change` returns `None` if it did not find the place to edit.
pub(crate) fn edit(
    file: &ConfigFile,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<(), Failure> {
    let (path, text) = (file.path(), file.text());
    let unsupported = || {
        Failure::config(format!(
            "cred cannot edit `{}`: its tables of `rings` have an unexpected structure",
            path.display()
        ))
        .hint("edit the tables of `rings` in an editor")
    };
    let mut document: DocumentMut = text.trim_start_matches(BOM).parse().map_err(|_| unsupported())?;
    change(&mut document).ok_or_else(unsupported)?;
    let changed = with_format_of(text, &document.to_string());
    {
        let _lock = lock()?;
        // The files may have changed during a prompt; such a change was not checked.
        if !trust::is_trusted(file)? {
            return Err(Failure::config(format!(
                "the project file `{}`, or a file that it names, changed in the meantime; cred.toml was not changed",
                path.display()
            ))
            .hint("check the change, run `cred trust`, and try again"));
        }
        replace(path, text, &changed).map_err(|error| Failure::file("write", path, error))?;
    }
    match file.origin() {
        Origin::Project => {
            let file = file.with_text(&changed)?;
            trust::record(&file, trust::Trusted::of(&file)?)
        }
        Origin::Given | Origin::User => Ok(()),
    }
}

/// Converts a text to the line ends and the byte order mark of another one.
fn with_format_of(before: &str, text: &str) -> String {
    let crlf = before.matches("\r\n").count();
    let text = text.replace("\r\n", "\n");
    let text = if crlf * 2 > before.matches('\n').count() { text.replace('\n', "\r\n") } else { text };
    if before.starts_with(BOM) { format!("{BOM}{text}") } else { text }
}

/// The subtable of a name, created if it does not exist.
pub(crate) fn subtable<'t>(
    table: &'t mut dyn toml_edit::TableLike,
    name: &str,
) -> Option<&'t mut dyn toml_edit::TableLike> {
    let empty = || {
        let mut table = Table::new();
        table.set_implicit(name == "rings");
        Item::Table(table)
    };
    table.entry(name).or_insert_with(empty).as_table_like_mut()
}

/// Creates a new file, with at most this mode, whatever the umask is.
pub(crate) fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // This process created it, and it is incomplete.
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces the text of a file atomically, if the file still has the text `before`. Keeps its
/// permissions.
fn replace(path: &Path, before: &str, text: &str) -> io::Result<()> {
    // Follows links: the file to replace is their target.
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let check_unchanged = || match fs::read_to_string(&path)? == before {
        true => Ok(()),
        false => Err(io::Error::other(
            "another program changed it in the meantime; check the change, and try again",
        )),
    };
    let temporary = temporary_path(&path)?;
    let written = create(&temporary, text, 0o600)
        .and_then(|()| fs::set_permissions(&temporary, permissions))
        .and_then(|()| check_unchanged())
        .and_then(|()| fs::rename(&temporary, &path));
    written.inspect_err(|_| _ = fs::remove_file(&temporary))
}

/// Writes a file atomically, whether it exists or not.
pub(super) fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let temporary = temporary_path(path)?;
    let written = create(&temporary, text, mode).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| _ = fs::remove_file(&temporary))
}

/// A random name next to a file, used by no other process and left over by none.
fn temporary_path(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", to_hex(&random)));
    Ok(path.with_file_name(name))
}

/// Locks out other runs of this program that edit files, until it is dropped. Without the lock, an
/// edit between the check of a file and its rename would be lost. Other programs are not locked
/// out.
///
/// The lock file is in the user's folder, where no other user can lock it. It is an `fcntl` lock,
/// which works on NFS too.
#[cfg(unix)]
pub(crate) fn lock() -> Result<Option<fs::File>, Failure> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;

    /// Another run holds the lock only for milliseconds.
    const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
    // A service that uses --config may have no home folder, or one that it cannot write.
    let Some(folder) = user_folder() else { return Ok(None) };
    let path = folder.join("edit.lock");
    let failed = |error: io::Error| Failure::file("lock", &path, error);
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = private_folder(&folder).and_then(|()| options.open(&path));
    let file = match opened {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let begin = Instant::now();
    loop {
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::AGAIN | Errno::ACCESS) if begin.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(Failure::config(format!(
                    "timed out after 10 s waiting for the lock `{}`, which another run of `cred` holds",
                    path.display()
                ))
                .hint("nothing was changed; try again when that run has ended"));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
}

/// This system has no lock.
#[cfg(not(unix))]
pub(crate) fn lock() -> Result<(), Failure> {
    Ok(())
}

/// Creates a folder that only its owner can access, and its parents, if they do not exist.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    folder_builder(true).create(folder)
}

/// A builder for folders that only their owner can access. `recursive` also creates parents, and
/// accepts an existing folder.
pub(crate) fn folder_builder(recursive: bool) -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(recursive);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_byte_order_mark_are_kept() {
        assert_eq!(with_format_of("a\r\nb\r\n", "a\nc\r\n"), "a\r\nc\r\n");
        assert_eq!(with_format_of("\u{feff}a\n", "b\n"), "\u{feff}b\n");
    }

    #[test]
    fn a_file_is_replaced_atomically() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cred.toml");
        fs::write(&path, "old").unwrap();
        replace(&path, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(replace(&path, "old", "newer").is_err(), "another program has changed it");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
