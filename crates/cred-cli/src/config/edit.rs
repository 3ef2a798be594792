//! Changing a cred.toml: its comments kept, whole or not at all, and never over what somebody else
//! has changed.

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

/// Changes a file, its comments, line ends and byte order mark kept; a project's file stays
/// trusted. `None` from the change: it did not find its place.
pub(crate) fn edit(
    file: &ConfigFile,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<(), Failure> {
    let (path, text) = (file.path(), file.text());
    let unfit = || {
        Failure::config(format!("`{}` has a form that this program cannot edit", path.display()))
            .hint("change the tables of `rings` in an editor")
    };
    let mut document: DocumentMut = text.trim_start_matches(BOM).parse().map_err(|_| unfit())?;
    change(&mut document).ok_or_else(unfit)?;
    let changed = in_the_form_of(text, &document.to_string());
    {
        let _lock = lock()?;
        // A prompt may have waited for a while: what changed meanwhile was not looked at.
        if !trust::is_trusted(file)? {
            return Err(Failure::config("a file of the project was changed meanwhile")
                .hint("look at it, run `cred trust`, and do this again"));
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

/// A text with the line ends and the byte order mark that another one has.
fn in_the_form_of(before: &str, text: &str) -> String {
    let crlf = before.matches("\r\n").count();
    let text = text.replace("\r\n", "\n");
    let text = if crlf * 2 > before.matches('\n').count() { text.replace('\n', "\r\n") } else { text };
    if before.starts_with(BOM) { format!("{BOM}{text}") } else { text }
}

/// The table of a name, made where it is not there.
pub(crate) fn child<'t>(
    table: &'t mut dyn toml_edit::TableLike,
    name: &str,
) -> Option<&'t mut dyn toml_edit::TableLike> {
    let fresh = || {
        let mut table = Table::new();
        table.set_implicit(name == "rings");
        Item::Table(table)
    };
    table.entry(name).or_insert_with(fresh).as_table_like_mut()
}

/// Writes a file that does not exist yet, with this mode at most, whatever the umask is.
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
        // It is ours and half a file.
        let _ = fs::remove_file(path);
    }
    written
}

/// Puts a text in the place of a file that still has the one from `before`, whole or not at all,
/// with the file's permissions.
fn replace(path: &Path, before: &str, text: &str) -> io::Result<()> {
    // Through links: the file that is meant is the one at their end.
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let still = || match fs::read_to_string(&path)? == before {
        true => Ok(()),
        false => {
            Err(io::Error::other("another program has changed it meanwhile; look at it, and do this again"))
        }
    };
    let fresh = fresh(&path)?;
    let written = create(&fresh, text, 0o600)
        .and_then(|()| fs::set_permissions(&fresh, permissions))
        .and_then(|()| still())
        .and_then(|()| fs::rename(&fresh, &path));
    written.inspect_err(|_| _ = fs::remove_file(&fresh))
}

/// Puts a text in the place of a file, which may not exist, whole or not at all.
pub(super) fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let fresh = fresh(path)?;
    let written = create(&fresh, text, mode).and_then(|()| fs::rename(&fresh, path));
    written.inspect_err(|_| _ = fs::remove_file(&fresh))
}

/// A name beside a file that no other process uses and no killed one has left.
fn fresh(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", to_hex(&random)));
    Ok(path.with_file_name(name))
}

/// Keeps other runs of this program from editing files, until it is dropped: between the look at a
/// file and the rename, another edit would be lost. Other programs are not kept out.
///
/// The lock is in the user's folder, where no other user can hold it. It is one of `fcntl`, which
/// NFS has too.
#[cfg(unix)]
pub(crate) fn lock() -> Result<Option<fs::File>, Failure> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;

    /// Another run holds it for milliseconds, or waits for nothing.
    const PATIENCE: Duration = Duration::from_secs(10);
    // A service that names its file with --config may have no home, or one that it cannot write.
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
            Err(Errno::AGAIN | Errno::ACCESS) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(Failure::config(format!("another run of `cred` holds `{}`", path.display()))
                    .hint("nothing was changed; do this again when it has ended"));
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
}

/// Nothing locks there.
#[cfg(not(unix))]
pub(crate) fn lock() -> Result<(), Failure> {
    Ok(())
}

/// Makes a folder that only its owner can enter, with the ones above it, where it does not exist.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    folder_builder(true).create(folder)
}

/// For folders that only their owner can enter; `above`: with the ones above, and no error if it
/// exists.
pub(crate) fn folder_builder(above: bool) -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(above);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_byte_order_mark_are_kept() {
        assert_eq!(in_the_form_of("a\r\nb\r\n", "a\nc\r\n"), "a\r\nc\r\n");
        assert_eq!(in_the_form_of("\u{feff}a\n", "b\n"), "\u{feff}b\n");
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cred.toml");
        fs::write(&path, "old").unwrap();
        replace(&path, "old", "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(replace(&path, "old", "newer").is_err(), "somebody else has changed it");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
