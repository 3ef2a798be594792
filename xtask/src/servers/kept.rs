//! Servers that are left up: each has a folder in the cache, with its files and its variables, and a lock
//! beside it that its guard holds while it runs. A lock ends with its process, so a crash leaves nothing that
//! looks alive; and no number of a process is kept, which another could have by now.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Environment;
use super::catalog::Server;
use super::process::{Process, make_folder, tries, write};
use super::source::Program;
use crate::{cache, guard};

/// A guard kills what does not end within 5 s.
const DOWN_WITHIN: Duration = Duration::from_secs(15);

pub(super) struct Kept {
    pub(super) version: String,
    pub(super) environment: Environment,
}

struct Place {
    folder: PathBuf,
    /// Held by the guard.
    lock: PathBuf,
    /// Held by who starts it.
    door: PathBuf,
}

/// The server, where one was left up.
pub(super) fn find(name: &str) -> Result<Option<Kept>> {
    Place::of(name)?.kept()
}

pub(super) fn is_up(name: &str) -> bool {
    Place::of(name).is_ok_and(|place| guard::holds(&place.lock))
}

/// Starts a server that stays up after this program has ended.
pub(super) fn start(server: &Server, program: &Program, environment: &Environment) -> Result<Environment> {
    let place = Place::of(server.name)?;
    let mut door = cache::lock_file(&place.door)?;
    let _held = cache::held(&mut door, server.name)?;
    if let Some(kept) = place.kept()? {
        return Ok(kept.environment); // another run was faster
    }
    tries(|| {
        cache::remove_folder(&place.folder)?; // of a guard that was killed
        make_folder(&place.folder)?;
        write(&place.folder.join(guard::KEEP), "")?;
        let (process, environment) =
            Process::start(server, program, environment, &place.folder, Some(&place.lock))?;
        let state = Kept { version: program.version.clone(), environment };
        let draft = place.folder.join("state.new");
        write(&draft, &state.written())?;
        fs::rename(&draft, place.state()).context("cannot write a server's state")?;
        process.keep()?;
        Ok(state.environment)
    })
}

/// Stops it, and waits until it has ended; nothing where it is not up.
pub(super) fn stop(name: &str) -> Result<()> {
    let place = Place::of(name)?;
    if !guard::holds(&place.lock) {
        eprintln!("{name} is not up");
        return cache::remove_folder(&place.folder);
    }
    let keep = place.folder.join(guard::KEEP);
    fs::remove_file(&keep).with_context(|| format!("cannot remove {}", keep.display()))?;
    let begin = Instant::now();
    while guard::holds(&place.lock) {
        if begin.elapsed() > DOWN_WITHIN {
            bail!("{name} did not end within {} s; see {}", DOWN_WITHIN.as_secs(), place.folder.display());
        }
        thread::sleep(Duration::from_millis(50));
    }
    eprintln!("{name} is down");
    Ok(())
}

impl Place {
    fn of(name: &str) -> Result<Self> {
        let shelf = cache::folder()?.join("run");
        fs::create_dir_all(&shelf).with_context(|| format!("cannot create {}", shelf.display()))?;
        Ok(Self::on(&shelf, name))
    }

    fn on(shelf: &Path, name: &str) -> Self {
        let beside = |end| shelf.join(format!("{name}.{end}"));
        Self { folder: shelf.join(name), lock: beside("lock"), door: beside("door") }
    }

    fn kept(&self) -> Result<Option<Kept>> {
        if !guard::holds(&self.lock) {
            return Ok(None);
        }
        // Without its state it is only starting, or ending.
        fs::read_to_string(self.state()).ok().map(|text| Kept::read(&text)).transpose()
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }
}

impl Kept {
    /// The version, then a variable on each line.
    fn written(&self) -> String {
        let line = |(name, value): &(String, String)| format!("{name}={value}\n");
        format!("{}\n{}", self.version, self.environment.iter().map(line).collect::<String>())
    }

    fn read(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let version = lines.next().context("a server's state is empty")?.to_owned();
        let pair = |line: &str| {
            let (name, value) = line.split_once('=').context("a server's state has a line without =")?;
            Ok((name.to_owned(), value.to_owned()))
        };
        Ok(Self { version, environment: lines.map(pair).collect::<Result<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let environment = vec![("A".to_owned(), "x=y".to_owned()), ("B".to_owned(), String::new())];
        let kept = Kept { version: "1.0 (x)".to_owned(), environment };
        let read = Kept::read(&kept.written()).unwrap();
        assert_eq!((read.version, read.environment), (kept.version, kept.environment));
        assert!(Kept::read("").is_err() && Kept::read("1.0\nA\n").is_err());
    }

    #[test]
    fn what_a_crash_left_is_not_up() {
        let shelf = tempfile::tempdir().unwrap();
        let place = Place::on(shelf.path(), "vault");
        fs::create_dir(&place.folder).unwrap();
        fs::write(place.state(), "1.0\nA=b\n").unwrap();
        fs::write(&place.lock, "").unwrap();
        assert!(place.kept().unwrap().is_none());
        let mut lock = cache::lock_file(&place.lock).unwrap();
        let _held = lock.write().unwrap();
        assert_eq!(place.kept().unwrap().unwrap().version, "1.0");
    }
}
