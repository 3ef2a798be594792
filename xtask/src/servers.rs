//! Real servers for the integration tests: found or built, started, told of in the environment, stopped.

mod catalog;
mod kept;
mod keyvault;
mod kube;
mod moto;
mod probe;
mod process;
mod recipe;
mod redis;
mod source;
mod vault;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use self::catalog::Server;
pub(crate) use self::catalog::{find, names};
use self::kept::Kept;
use self::process::Process;
pub(crate) use self::source::Source;
use crate::{cargo, guard};

/// Variables for the test programs, in the order in which they are printed.
pub(crate) type Environment = Vec<(String, String)>;

#[derive(clap::Subcommand)]
pub(crate) enum Chore {
    /// Starts servers and leaves them up; prints their addresses for `eval`
    Up {
        /// The servers; all where none is named
        names: Vec<String>,
    },
    /// Stops servers that were left up
    Down {
        /// The servers; all where none is named
        names: Vec<String>,
    },
    /// Tells which servers were left up, and their addresses
    Status {
        /// The servers; all where none is named
        names: Vec<String>,
    },
    /// Starts servers, runs a command with their addresses in its environment and stops them
    Run {
        /// The servers; all where none is named
        names: Vec<String>,
        /// The command, after `--`
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

pub(crate) fn run(chore: &Chore) -> Result<ExitCode> {
    match chore {
        Chore::Up { names } => {
            let mut servers = Servers::new(true);
            for server in catalog::select(names)? {
                servers.bring_up(server.name)?;
            }
            print!("{}", exports(&servers.environment()));
        }
        Chore::Down { names } => {
            for server in catalog::select(names)? {
                kept::stop(server.name)?;
            }
        }
        Chore::Status { names } => {
            for server in catalog::select(names)? {
                match kept::find(server.name)? {
                    Some(kept) => {
                        print!("# {} {} is up\n{}", server.name, kept.version, exports(&kept.environment))
                    }
                    None => println!("# {} is not up", server.name),
                }
            }
        }
        Chore::Run { names, command } => {
            let mut servers = Servers::new(false);
            for server in catalog::select(names)? {
                servers.bring_up(server.name)?;
            }
            return servers.run(command);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The servers of one run. Those that it started end with it, unless they are to be kept.
pub(crate) struct Servers {
    keep: bool,
    up: Vec<Running>,
    /// What could not be had, and why: asked for again, it is not built again.
    missing: BTreeMap<&'static str, String>,
}

/// One server that answers.
pub(crate) struct Running {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    pub(crate) source: Source,
    environment: Environment,
    hold: Hold,
}

/// Who ends a server.
enum Hold {
    /// Who gave it.
    Foreign,
    /// `servers down`.
    Kept,
    /// We do, at the latest when this is dropped.
    Owned(Process),
}

impl Servers {
    pub(crate) fn new(keep: bool) -> Self {
        Self { keep, up: Vec::new(), missing: BTreeMap::new() }
    }

    /// Finds or starts a server, and what it needs itself; nothing where it is up already.
    pub(crate) fn bring_up(&mut self, name: &str) -> Result<()> {
        let server = find(name).with_context(|| format!("there is no server {name}"))?;
        if self.get(name).is_some() {
            return Ok(());
        }
        if let Some(why) = self.missing.get(name) {
            bail!("{why}");
        }
        match self.had(server) {
            Ok(running) => {
                eprintln!("{} {} is up ({})", running.name, running.version, running.source);
                self.up.push(running);
                Ok(())
            }
            Err(error) => {
                self.missing.insert(server.name, format!("{error:#}"));
                Err(error)
            }
        }
    }

    fn had(&mut self, server: &'static Server) -> Result<Running> {
        let name = server.name;
        if let Some(environment) = source::given(server, |name| std::env::var(name).ok())? {
            let version = probe::given(server, &environment)?;
            let source = Source::Given(server.variables);
            return Ok(Running { name, version, source, environment, hold: Hold::Foreign });
        }
        if let Some(Kept { version, environment }) = kept::find(name)? {
            return Ok(Running { name, version, source: Source::Kept, environment, hold: Hold::Kept });
        }
        for needed in server.needs {
            self.bring_up(needed).with_context(|| format!("{name} needs {needed}"))?;
        }
        let program = source::program(server)?;
        let before = self.environment();
        let (hold, environment) = if self.keep {
            (Hold::Kept, kept::start(server, &program, &before)?)
        } else {
            let (process, environment) = process::start(server, &program, &before)?;
            (Hold::Owned(process), environment)
        };
        Ok(Running { name, version: program.version, source: program.source, environment, hold })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Running> {
        self.up.iter().find(|running| running.name == name)
    }

    /// The variables of all servers that are up.
    pub(crate) fn environment(&self) -> Environment {
        self.up.iter().flat_map(|running| running.environment.clone()).collect()
    }

    /// Servers that have ended though nobody stopped them, each with how. They are up no longer.
    pub(crate) fn ended(&mut self) -> Vec<(&'static str, String)> {
        let ended: Vec<_> =
            self.up.iter_mut().filter_map(|running| Some((running.name, running.ended()?))).collect();
        self.up.retain(|running| !ended.iter().any(|(name, _)| *name == running.name));
        self.missing.extend(ended.iter().map(|(name, how)| (*name, format!("{name} ended: {how}"))));
        ended
    }

    fn run(&mut self, words: &[String]) -> Result<ExitCode> {
        let Some((program, args)) = words.split_first() else { bail!("no command to run") };
        let mut command = Command::new(program);
        command.args(args).envs(self.environment());
        let shown = cargo::shown(&command);
        let mut child =
            guard::guarded(&command, &[]).spawn().with_context(|| format!("cannot run `{shown}`"))?;
        let pipe = child.stdin.take(); // `wait` would close it, and the guard would stop the command
        let status = child.wait()?;
        drop(pipe);
        let ended = self.ended();
        for (name, how) in &ended {
            eprintln!("{name} ended before the command did: {how}");
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Ok(if ended.is_empty() { ExitCode::from(code) } else { ExitCode::FAILURE })
    }
}

impl Drop for Servers {
    /// The last first: what needs another one ends before it.
    fn drop(&mut self) {
        while self.up.pop().is_some() {}
    }
}

impl Running {
    /// How it ended, where it did and we can know.
    fn ended(&mut self) -> Option<String> {
        match &mut self.hold {
            Hold::Foreign => None,
            Hold::Kept => (!kept::is_up(self.name)).then(|| "somebody stopped it".to_owned()),
            Hold::Owned(process) => process.ended(),
        }
    }
}

/// Lines for a shell's `eval`.
pub(crate) fn exports(environment: &Environment) -> String {
    let line =
        |(name, value): &(String, String)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
    environment.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_survive_a_shell() {
        let environment = vec![("CRED_TEST_X".to_owned(), "it's $HOME".to_owned())];
        let script = format!("{}printf %s \"$CRED_TEST_X\"", exports(&environment));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(output.stdout, b"it's $HOME");
    }

    #[test]
    fn an_unknown_server_is_an_error() {
        assert!(Servers::new(false).bring_up("nothing").is_err());
    }
}
