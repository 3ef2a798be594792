//! A small process between a chore and what it starts, so that nothing outlives the chore by accident.
//!
//! It reads the pipe that is its standard input. When the pipe ends, the chore is gone, whatever ended it (a
//! signal that it could handle, one that it could not, a panic), and the guard stops what it started: the
//! whole process group, first politely. So no chore needs a signal handler. A byte in the pipe says that the
//! program is to be kept; then it runs until the file `keep` in its folder is gone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group, setsid};

use crate::cache;

/// How long a program may take to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often a guard looks whether something has ended.
const TICK: Duration = Duration::from_millis(20);
/// The file in a kept program's folder whose removal stops it.
pub(crate) const KEEP: &str = "keep";

#[derive(clap::Args)]
pub(crate) struct Guard {
    /// Removed at the end, with all that is in it
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Held as long as the program runs
    #[arg(long)]
    lock: Option<PathBuf>,
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// The same command under a guard: same words, folder and variables. Its input is a pipe to be held as long as
/// it may run; `options` are the guard's own.
pub(crate) fn guarded(command: &Command, options: &[(&str, &Path)]) -> Command {
    // Not `current_exe`: the file of a running xtask may have been replaced by a newer build.
    let itself =
        if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() };
    let mut guarded = Command::new(itself.unwrap_or_else(|_| "xtask".into()));
    guarded.arg0("xtask").arg("guard");
    for (name, path) in options {
        guarded.arg(name).arg(path);
    }
    guarded.arg("--").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(name, value),
            None => guarded.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        guarded.current_dir(folder);
    }
    guarded.stdin(Stdio::piped());
    guarded
}

/// What the chore's hidden command does; the exit code is the program's.
pub(crate) fn run(guard: &Guard) -> Result<ExitCode> {
    // Away from the terminal, so that Ctrl-C reaches the chore alone and the end is always the same one.
    setsid().context("cannot begin a session")?;
    let mut lock = guard.lock.as_deref().map(cache::lock_file).transpose()?;
    let _held = lock.as_mut().map(taken).transpose()?;
    let result = watch(guard);
    if let Some(folder) = &guard.folder {
        cache::remove_folder(folder)?;
    }
    let status = result?;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn watch(guard: &Guard) -> Result<ExitStatus> {
    let [program, args @ ..] = guard.command.as_slice() else { anyhow::bail!("no command to guard") };
    let word = word_of_the_chore();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
    let mut kept = false;
    loop {
        if let Some(status) = child.try_wait()? {
            kill(&child, Signal::KILL); // what it started and left
            return Ok(status);
        }
        let stop = if kept {
            thread::sleep(TICK);
            !guard.folder.as_ref().is_some_and(|folder| folder.join(KEEP).exists())
        } else {
            match word.recv_timeout(TICK) {
                Ok(Word::Keep) => {
                    kept = true;
                    false
                }
                Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => true,
                Err(RecvTimeoutError::Timeout) => false,
            }
        };
        if stop {
            return end(&mut child);
        }
    }
}

enum Word {
    Keep,
    Stop,
}

fn word_of_the_chore() -> Receiver<Word> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let kept = matches!(io::stdin().read(&mut [0]), Ok(1));
        sender.send(if kept { Word::Keep } else { Word::Stop })
    });
    receiver
}

/// Politely, then not.
fn end(child: &mut Child) -> Result<ExitStatus> {
    let asked = Instant::now();
    kill(child, Signal::TERM);
    while asked.elapsed() < GRACE {
        if let Some(status) = child.try_wait()? {
            kill(child, Signal::KILL);
            return Ok(status);
        }
        thread::sleep(TICK);
    }
    kill(child, Signal::KILL);
    Ok(child.wait()?)
}

/// The group keeps its number while anyone is left in it, so this reaches what the child left behind; an
/// empty group is no error.
fn kill(child: &Child, signal: Signal) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = group.map(|group| kill_process_group(group, signal));
}

/// Whoever asks only whether a program runs holds the lock for an instant, so this tries for a second.
fn taken(lock: &mut fd_lock::RwLock<File>) -> Result<fd_lock::RwLockWriteGuard<'_, File>> {
    for _ in 0..50 {
        if lock.try_write().is_ok() {
            break;
        }
        thread::sleep(TICK);
    }
    lock.try_write().context("it runs already")
}

/// Whether a guard holds this lock.
pub(crate) fn holds(lock: &Path) -> bool {
    fs::exists(lock).unwrap_or(false)
        && cache::lock_file(lock).is_ok_and(|mut lock| lock.try_write().is_err())
}
