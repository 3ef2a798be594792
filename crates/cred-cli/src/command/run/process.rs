//! The process that `cred run` becomes.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Command;

use crate::environment::Environment;
use crate::failure::{Exit, Failure};

/// Variables that a program needs to run at all, or to speak to its user; `LC_*` are, too.
const BASIC: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE"];

/// What happens to the variables that the environment has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// A credential replaces one of its name.
    Replaced,
    /// One wins over a credential of its name.
    Kept,
    /// Only the basic ones are there.
    Cleaned,
}

/// A command that is ready to start.
pub(super) struct Process {
    /// As the user named it.
    program: OsString,
    command: Command,
    /// The name and the size of the largest credential.
    largest: Option<(String, usize)>,
}

impl Process {
    /// Looks the program up with the caller's PATH, and sets its variables; `taken` are removed.
    pub(super) fn new(
        words: &[OsString],
        environment: &Environment<'_>,
        existing: Existing,
        taken: &BTreeSet<&str>,
    ) -> Result<Self, Failure> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Failure::usage("the command to run is missing"));
        };
        let mut command = lookup::command(program).map_err(|error| not_started(program, error))?;
        command.args(arguments);
        if existing == Existing::Cleaned {
            command.env_clear().envs(env::vars_os().filter(|(name, _)| is_basic(name)));
        }
        for name in taken {
            command.env_remove(name);
        }
        let is_kept =
            |name: &str| existing == Existing::Kept && env::var_os(name).is_some() && !taken.contains(name);
        for one in environment.iter().filter(|one| !is_kept(one.name)) {
            command.env(one.name, one.value);
        }
        let largest = environment.iter().max_by_key(|one| one.value.len());
        let largest = largest.map(|one| (one.name.to_owned(), one.value.len()));
        Ok(Self { program: program.clone(), command, largest })
    }

    /// Becomes the command, so that signals and the exit code are its own.
    #[cfg(unix)]
    pub(super) fn start(mut self) -> Result<(), Failure> {
        use std::os::unix::process::CommandExt as _;
        crate::process::unprotect();
        let error = self.command.exec();
        Err(self.failed(error))
    }

    #[cfg(not(unix))]
    pub(super) fn start(mut self) -> Result<(), Failure> {
        let status = self.command.status().map_err(|error| self.failed(error))?;
        std::process::exit(status.code().unwrap_or(1));
    }

    fn failed(&self, error: io::Error) -> Failure {
        match &self.largest {
            Some((name, length)) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                let message = format!(
                    "the command could not be started: its arguments and variables are too large, the largest of these credentials being {name} with {length} bytes"
                );
                Failure::new(Exit::NotExecutable, message)
                    .hint(
                        "pass that value on stdin, as in `cred get PATH | COMMAND`, and the others with --env",
                    )
                    .caused_by(error)
            }
            _ => not_started(&self.program, error),
        }
    }
}

fn is_basic(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| BASIC.contains(&name) || name.starts_with("LC_"))
}

fn not_started(program: &OsStr, error: io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::NotFound => Exit::NoSuchCommand,
        _ => Exit::NotExecutable,
    };
    let hint = match exit {
        Exit::NoSuchCommand => "check its name, and the variable PATH where it has no `/`",
        _ => "check that it is a program, and that you may execute it",
    };
    let program = program.to_string_lossy();
    Failure::new(exit, format!("the command `{program}` could not be started")).hint(hint).caused_by(error)
}

#[cfg(unix)]
mod lookup {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::path::PathBuf;
    use std::process::Command;
    use std::{env, io};

    use rustix::fs::{Access, access};
    use rustix::io::Errno;

    /// Finds the program as `execvp` does, but before the variables change: a credential named PATH
    /// does not choose the program.
    pub(super) fn command(program: &OsStr) -> io::Result<Command> {
        if program.as_bytes().contains(&b'/') {
            return Ok(Command::new(program));
        }
        let folders = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        let mut error = Errno::NOENT;
        for folder in env::split_paths(&folders) {
            // An empty part of PATH is the current folder.
            let place = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
            let place = place.join(program);
            if !place.is_file() {
                continue;
            }
            match access(&place, Access::EXEC_OK) {
                Ok(()) => {
                    let mut command = Command::new(place);
                    command.arg0(program);
                    return Ok(command);
                }
                Err(refused) => error = refused,
            }
        }
        Err(error.into())
    }
}

#[cfg(not(unix))]
mod lookup {
    use std::ffi::OsStr;
    use std::io;
    use std::process::Command;

    pub(super) fn command(program: &OsStr) -> io::Result<Command> {
        Ok(Command::new(program))
    }
}
