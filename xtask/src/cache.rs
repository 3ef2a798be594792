//! The cache folder: files that are made once for a machine, outside `target/`, so that
//! `cargo clean` and a fresh clone keep them.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `$CRED_CACHE_DIR`, else `$XDG_CACHE_HOME/cred`, else `$HOME/.cache/cred`; an empty variable
/// counts as unset.
pub(crate) fn folder() -> Result<PathBuf> {
    folder_by(|name| env::var_os(name))
}

/// The path of `program` in `home`, a folder in the cache, which `make` fills if it is missing.
///
/// The folder appears whole or not at all: `make` fills a temporary one, which is renamed at the
/// end. A lock lets concurrent runs make it once.
pub(crate) fn made(home: &Path, program: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let made = home.join(program);
    if made.is_file() {
        return Ok(made);
    }
    let (Some(shelf), Some(name)) = (home.parent(), home.file_name()) else {
        anyhow::bail!("{} is not a folder in a cache", home.display());
    };
    fs::create_dir_all(shelf).with_context(|| format!("cannot create {}", shelf.display()))?;
    let name = name.to_string_lossy();
    // The file is never removed: a lock on a removed file excludes no process.
    let path = shelf.join(format!(".{name}.lock"));
    let file = File::options().create(true).append(true).open(&path);
    let mut lock = fd_lock::RwLock::new(file.with_context(|| format!("cannot open {}", path.display()))?);
    if lock.try_write().is_err() {
        eprintln!("{name}: waiting for another run that makes it");
    }
    let _held = lock.write().with_context(|| format!("cannot lock {}", path.display()))?;
    if made.is_file() {
        return Ok(made); // by the run that held the lock
    }
    let prefix = format!(".making-{name}-");
    for entry in fs::read_dir(shelf).with_context(|| format!("cannot list {}", shelf.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            remove_folder(&entry.path())?; // of a killed run
        }
    }
    // Named after this process: a program that a killed run started may still write to the old one.
    let making = shelf.join(format!("{prefix}{}", std::process::id()));
    fs::create_dir(&making).with_context(|| format!("cannot create {}", making.display()))?;
    if let Err(error) = make(&making) {
        remove_folder(&making)?;
        return Err(error);
    }
    remove_folder(home)?; // it lacks the program
    fs::rename(&making, home).with_context(|| format!("cannot move {name} to {}", home.display()))?;
    Ok(made)
}

pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

fn folder_by(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("CRED_CACHE_DIR")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("cred")))
        .or_else(|| Some(folder("HOME")?.join(".cache").join("cred")))
        .context("no cache folder: set CRED_CACHE_DIR, XDG_CACHE_HOME or HOME")
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
    fn the_most_specific_variable_wins_and_an_empty_one_counts_as_unset() {
        let all = [("CRED_CACHE_DIR", "a"), ("XDG_CACHE_HOME", "b"), ("HOME", "c")];
        assert_eq!(folder_with(&all), Some(PathBuf::from("a")));
        assert_eq!(folder_with(&[("CRED_CACHE_DIR", ""), all[1], all[2]]), Some(PathBuf::from("b/cred")));
        assert_eq!(folder_with(&all[2..]), Some(PathBuf::from("c/.cache/cred")));
        assert_eq!(folder_with(&[]), None);
    }

    #[test]
    fn concurrent_runs_make_a_folder_once() {
        let shelf = tempfile::tempdir().unwrap();
        let home = shelf.path().join("thing-1");
        let makes = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let made = made(&home, Path::new("bin"), |making| {
                        makes.fetch_add(1, Ordering::SeqCst);
                        thread::sleep(std::time::Duration::from_millis(20)); // the others wait
                        Ok(fs::write(making.join("bin"), "whole")?)
                    });
                    assert_eq!(fs::read_to_string(made.unwrap()).unwrap(), "whole");
                });
            }
        });
        assert_eq!(makes.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn failed_and_killed_runs_leave_nothing_that_looks_finished() {
        let shelf = tempfile::tempdir().unwrap();
        let home = shelf.path().join("thing-1");
        fs::create_dir(shelf.path().join(".making-thing-1-99")).unwrap(); // of a killed run
        let half = made(&home, Path::new("bin"), |making| {
            fs::write(making.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert!(half.unwrap_err().to_string().contains("no network"));
        let left = fs::read_dir(shelf.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), [".thing-1.lock"]);
        assert!(made(&home, Path::new("bin"), |making| Ok(fs::write(making.join("bin"), "")?)).is_ok());
    }
}
