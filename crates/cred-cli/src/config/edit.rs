//! Changing a cred.toml: its comments kept, whole or not at all, and never over what somebody else has changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table};

use crate::failure::Failure;

/// Changes a file, its comments kept; `None` from the change: it did not find its place.
pub(crate) fn edit(
    path: PathBuf,
    text: &str,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<(), Failure> {
    let unfit = || {
        Failure::config(format!("`{}` has a form that this program cannot edit", path.display()))
            .hint("change the tables of `rings` in an editor")
    };
    let mut document: DocumentMut = text.parse().map_err(|_| unfit())?;
    change(&mut document).ok_or_else(unfit)?;
    replace(&path, text, &document.to_string()).map_err(|error| Failure::file("write", &path, error))
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

/// Writes a file that is not there yet.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // It is ours and half a file.
        let _ = fs::remove_file(path);
    }
    written
}

/// Puts a text in the place of a file that still has the one from `before`, whole or not at all, with the file's
/// permissions.
fn replace(path: &Path, before: &str, text: &str) -> io::Result<()> {
    // Through links: the file that is meant is the one at their end.
    let path = fs::canonicalize(path)?;
    let _alone = alone(&path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Of its own, so that what a killed one has left stands in nobody's way.
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let still = || match fs::read_to_string(&path)? == before {
        true => Ok(()),
        false => {
            Err(io::Error::other("somebody else has changed it meanwhile; look at it, and do this again"))
        }
    };
    let written = create(&fresh, text)
        .and_then(|()| fs::set_permissions(&fresh, permissions))
        .and_then(|()| still())
        .and_then(|()| fs::rename(&fresh, &path));
    if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        // It is ours and it is no configuration.
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Waits until nobody else edits a file, and then keeps others out until it is dropped: between the look at the file
/// and the rename, another edit would be lost. The folder is locked, since a rename puts another file in the place of
/// this one; programs that know nothing of it are not kept out.
#[cfg(unix)]
fn alone(path: &Path) -> io::Result<fs::File> {
    let folder = fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    folder.lock()?;
    Ok(folder)
}

/// Folders cannot be opened everywhere.
#[cfg(not(unix))]
fn alone(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
