//! A small process between xtask and each program that it starts, so that nothing outlives xtask.
//!
//! The guard's standard input is a pipe from xtask. The pipe ends when xtask ends, whatever ended
//! it: a signal that it could handle, one that it could not, a panic. Then the guard stops the
//! program's whole process group, first with SIGTERM. So xtask itself needs no signal handler.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, setsid};

use crate::cache;

/// How long a program may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Guard {
    /// A folder to remove at the end, with everything in it
    #[arg(long = "folder")]
    folders: Vec<PathBuf>,
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// The same command under a guard: same words, current directory and variables. The program runs
/// until it ends or the pipe to the guard's standard input is closed; then `folders` are removed.
pub(crate) fn guarded(command: &Command, folders: &[&Path]) -> Command {
    let itself = if cfg!(test) {
        Ok("false".into()) // a unit test would start itself again and again
    } else if cfg!(target_os = "linux") {
        Ok("/proc/self/exe".into()) // a newer build may have replaced the file of this one
    } else {
        std::env::current_exe()
    };
    let mut guarded = Command::new(itself.unwrap_or_else(|_| "xtask".into()));
    guarded.arg0("xtask").arg("guard");
    for folder in folders {
        guarded.arg("--folder").arg(folder);
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

/// The hidden command `guard`; the exit code is the program's.
pub(crate) fn run(guard: &Guard) -> Result<ExitCode> {
    // Away from the terminal: Ctrl-C reaches xtask alone, and every end is the same.
    setsid().context("cannot begin a session")?;
    let status = watch(&guard.command);
    guard.folders.iter().try_for_each(|folder| cache::remove_folder(folder))?;
    let status = status?;
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn watch(words: &[String]) -> Result<ExitStatus> {
    let [program, args @ ..] = words else { bail!("no command to guard") };
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
    let group = Pid::from_child(&child);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink()); // returns when xtask has ended
        let _ = kill_process_group(group, Signal::TERM);
        thread::sleep(GRACE);
        let _ = kill_process_group(group, Signal::KILL);
    });
    let status = child.wait()?;
    // The group exists while a process is left in it: this kills what the program left behind.
    let _ = kill_process_group(group, Signal::KILL);
    Ok(status)
}
