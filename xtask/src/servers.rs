//! Real servers for the integration tests: found or built, started, told of in the environment, stopped.

mod catalog;
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
use self::process::Process;
pub(crate) use self::source::Source;
use crate::{cargo, guard};

/// Variables for the test programs, in the order in which they are printed.
pub(crate) type Environment = Vec<(String, String)>;

#[derive(clap::Subcommand)]
pub(crate) enum Chore {
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
        Chore::Run { names, command } => {
            let mut servers = Servers::default();
            for server in catalog::select(names)? {
                servers.bring_up(server.name)?;
            }
            servers.run(command)
        }
    }
}

/// The servers of one run. Those that it started end with it.
#[derive(Default)]
pub(crate) struct Servers {
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
    /// `None`: it was given.
    process: Option<Process>,
}

impl Servers {
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
            return Ok(Running { name, version, source, environment, process: None });
        }
        for needed in server.needs {
            self.bring_up(needed).with_context(|| format!("{name} needs {needed}"))?;
        }
        let program = source::program(server)?;
        let (process, environment) = process::start(server, &program, &self.environment())?;
        let (version, source) = (program.version, program.source);
        Ok(Running { name, version, source, environment, process: Some(process) })
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
        let how = |running: &mut Running| Some((running.name, running.process.as_mut()?.ended()?));
        let ended: Vec<_> = self.up.iter_mut().filter_map(how).collect();
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
