//! What is made once for a machine and kept outside `target/`, so that `cargo clean` and a fresh clone keep it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `$CRED_CACHE_DIR`, else `$XDG_CACHE_HOME/cred`, else `$HOME/.cache/cred`; an empty variable counts as unset.
pub(crate) fn folder() -> Result<PathBuf> {
    folder_by(|name| env::var_os(name))
}

/// The path of `program` in `home`, a folder in the cache that `make` fills where it is missing.
///
/// A folder appears there whole or not at all: `make` works in a temporary one that is renamed at the end,
/// under a lock, so that two runs at once make it once and a killed one leaves nothing that looks finished.
pub(crate) fn made(home: &Path, program: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let made = home.join(program);
    if made.is_file() {
        return Ok(made);
    }
    let (Some(shelf), Some(name)) = (home.parent(), home.file_name()) else {
        anyhow::bail!("{} is no folder in a cache", home.display());
    };
    fs::create_dir_all(shelf).with_context(|| format!("cannot create {}", shelf.display()))?;
    let name = name.to_string_lossy();
    let mut lock = lock_file(&shelf.join(format!(".{name}.lock")))?;
    let _held = held(&mut lock, &name)?;
    if made.is_file() {
        return Ok(made); // by the run that we waited for
    }
    let prefix = format!(".making-{name}-");
    sweep(shelf, &prefix)?;
    // Named after this process: what a killed run had started may still write to its own for a moment.
    let making = shelf.join(format!("{prefix}{}", std::process::id()));
    fs::create_dir(&making).with_context(|| format!("cannot create {}", making.display()))?;
    let result = make(&making);
    if result.is_err() {
        remove_folder(&making)?;
    }
    result?;
    remove_folder(home)?; // without the program, or we would not be here
    fs::rename(&making, home).with_context(|| format!("cannot move {name} to {}", home.display()))?;
    Ok(made)
}

/// A lock among processes; the file is never removed, since a lock on a removed file excludes nobody.
pub(crate) fn lock_file(path: &Path) -> Result<fd_lock::RwLock<File>> {
    let file = File::options().create(true).append(true).open(path);
    Ok(fd_lock::RwLock::new(file.with_context(|| format!("cannot open {}", path.display()))?))
}

/// Waits for the lock, and says so where it must.
pub(crate) fn held<'a>(
    lock: &'a mut fd_lock::RwLock<File>,
    what: &str,
) -> Result<fd_lock::RwLockWriteGuard<'a, File>> {
    if lock.try_write().is_err() {
        eprintln!("waiting for another run that is busy with {what}");
    }
    lock.write().with_context(|| format!("cannot lock {what}"))
}

pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Removes what killed runs left; the caller holds the lock.
fn sweep(shelf: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(shelf).with_context(|| format!("cannot list {}", shelf.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

fn folder_by(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("CRED_CACHE_DIR")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("cred")))
        .or_else(|| Some(folder("HOME")?.join(".cache").join("cred")))
        .context("no folder for what is kept: set CRED_CACHE_DIR, XDG_CACHE_HOME or HOME")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn folder_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        folder_by(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())).ok()
    }

    #[test]
    fn the_most_specific_variable_wins() {
        let all = [("CRED_CACHE_DIR", "a"), ("XDG_CACHE_HOME", "b"), ("HOME", "c")];
        assert_eq!(folder_with(&all), Some(PathBuf::from("a")));
        assert_eq!(folder_with(&all[1..]), Some(PathBuf::from("b/cred")));
        assert_eq!(folder_with(&all[2..]), Some(PathBuf::from("c/.cache/cred")));
        assert_eq!(folder_with(&[]), None);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(
            folder_with(&[("CRED_CACHE_DIR", ""), ("HOME", "c")]),
            Some(PathBuf::from("c/.cache/cred"))
        );
    }

    #[test]
    fn two_runs_at_once_make_a_thing_once() {
        let shelf = tempfile::tempdir().unwrap();
        let home = shelf.path().join("thing-1");
        let makes = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let made = made(&home, Path::new("bin"), |making| {
                        makes.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(std::time::Duration::from_millis(20)); // the others come to wait
                        Ok(fs::write(making.join("bin"), "whole")?)
                    });
                    assert_eq!(fs::read_to_string(made.unwrap()).unwrap(), "whole");
                });
            }
        });
        assert_eq!(makes.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_could_not_be_made_leaves_nothing_and_is_tried_again() {
        let shelf = tempfile::tempdir().unwrap();
        let home = shelf.path().join("thing-1");
        let half = made(&home, Path::new("bin"), |making| {
            fs::write(making.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert!(half.unwrap_err().to_string().contains("no network"));
        let left = fs::read_dir(shelf.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), [".thing-1.lock"]);
        assert!(made(&home, Path::new("bin"), |making| Ok(fs::write(making.join("bin"), "")?)).is_ok());
    }

    #[test]
    fn what_a_killed_run_left_is_swept() {
        let shelf = tempfile::tempdir().unwrap();
        fs::create_dir(shelf.path().join(".making-thing-1-99")).unwrap();
        let home = shelf.path().join("thing-1");
        made(&home, Path::new("bin"), |making| Ok(fs::write(making.join("bin"), "")?)).unwrap();
        assert!(!shelf.path().join(".making-thing-1-99").exists());
    }
}
