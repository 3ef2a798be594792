//! The command that replaces the process of `cred run`.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Command;

use crate::environment::Environment;
use crate::failure::{Exit, Failure};

/// Variables that a program needs to run, or to communicate with its user. `LC_*` belong to them.
const BASIC: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE"];

/// The treatment of existing variables of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// A credential replaces a variable with its name.
    Replaced,
    /// An existing variable wins over a credential with its name.
    Kept,
    /// Only the basic variables are kept.
    Cleaned,
}

/// A command that is ready to start.
pub(super) struct Process {
    /// The program as given by the user.
    program: OsString,
    command: Command,
    /// The name and the size of the largest credential.
    largest: Option<(String, usize)>,
}

impl Process {
    /// Finds the program with the caller's PATH, and sets its variables, except those in `removed`.
    pub(super) fn new(
        words: &[OsString],
        environment: &Environment<'_>,
        existing: Existing,
        removed: &BTreeSet<&str>,
    ) -> Result<Self, Failure> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Failure::usage("the command to run is missing"));
        };
        let mut command = lookup::command(program).map_err(|error| not_started(program, error))?;
        command.args(arguments);
        if existing == Existing::Cleaned {
            command.env_clear().envs(env::vars_os().filter(|(name, _)| is_basic(name)));
        }
        for name in removed {
            command.env_remove(name);
        }
        let is_kept =
            |name: &str| existing == Existing::Kept && env::var_os(name).is_some() && !removed.contains(name);
        for one in environment.iter().filter(|one| !is_kept(one.name)) {
            command.env(one.name, one.value);
        }
        let largest = environment.iter().max_by_key(|one| one.value.len());
        let largest = largest.map(|one| (one.name.to_owned(), one.value.len()));
        Ok(Self { program: program.clone(), command, largest })
    }

    /// Replaces this process with the command, so that signals and the exit code are those of the
    /// command.
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
                    "could not start the command: its arguments and variables are too large; the largest credential is {name} with {length} bytes"
                );
                Failure::new(Exit::NotExecutable, message)
                    .hint(
                        "pass that value on stdin, such as `cred get PATH | COMMAND`, and the others with --env",
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
        Exit::NoSuchCommand => "check the name of the command, and the variable PATH if the name has no `/`",
        _ => "check that the file is a program, and that you have permission to execute it",
    };
    let program = program.to_string_lossy();
    Failure::new(exit, format!("could not start the command `{program}`")).hint(hint).caused_by(error)
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

    /// Finds the program as `execvp` does, but before the variables are set, so that a credential
    /// named PATH cannot choose the program.
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
