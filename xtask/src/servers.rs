//! Real servers for the integration tests: found or built, started, and stopped at the end.

mod catalog;
mod plans;
mod probe;
mod process;
mod program;

use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use self::catalog::Server;
pub(crate) use self::catalog::{find, names};
use self::process::Process;
use crate::{cargo, guard};

/// Variables for the test programs, in the order of the servers.
pub(crate) type Environment = Vec<(String, String)>;

#[derive(clap::Subcommand)]
pub(crate) enum Chore {
    /// Start servers, run a command with their addresses in its environment and stop them
    Run {
        /// The servers; all if omitted
        names: Vec<String>,
        /// The command, after `--`
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Build or install servers into the cache, where they are missing
    ///
    /// Without names, this builds the servers that `test-integration` would build. HashiCorp Vault
    /// takes 11 minutes and is made only by its name, `vault`; otherwise OpenBao stands in for it.
    Make {
        /// vault, openbao, moto, etcd, kube-apiserver, keyvault-referee, dotenv-referee, redis
        names: Vec<String>,
    },
}

pub(crate) fn run(chore: &Chore) -> Result<ExitCode> {
    match chore {
        Chore::Run { names, command } => {
            let mut servers = Servers::default();
            let all = if names.is_empty() { self::names() } else { Vec::new() };
            for name in names.iter().map(String::as_str).chain(all) {
                servers.bring_up(name)?;
            }
            servers.run(command)
        }
        Chore::Make { names } => make(names),
    }
}

/// Builds the named servers; without names, those that a run on this machine would build, except
/// with cargo. A failure does not stop the rest.
fn make(names: &[String]) -> Result<ExitCode> {
    let shelf = program::shelf()?;
    let named = names.iter().map(|name| catalog::recipe(name)).collect::<Result<Vec<_>>>()?;
    let mut results: Vec<_> = named.into_iter().map(|recipe| (recipe.name, recipe.made(&shelf))).collect();
    let all = if names.is_empty() { self::names() } else { Vec::new() };
    for server in all.into_iter().filter_map(find) {
        if server.given()?.is_none() && !server.is_of_this_workspace() {
            results.push((server.name, program::program(server)));
        }
    }
    for (name, result) in &results {
        match result {
            Ok(program) => eprintln!("{name}: {} exists ({})", program.version, program.source),
            Err(error) => eprintln!("{name}: {error:#}"),
        }
    }
    let failed = results.iter().any(|(_, result)| result.is_err());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The servers of one run. Those that it started end with it.
#[derive(Default)]
pub(crate) struct Servers {
    up: Vec<Running>,
    /// Servers that failed, and why: they are not made or started again.
    failed: BTreeMap<&'static str, String>,
}

/// A server that answers.
pub(crate) struct Running {
    name: &'static str,
    version: String,
    /// Where it comes from.
    source: String,
    environment: Environment,
    /// `None`: it was given.
    process: Option<Process>,
}

impl Servers {
    /// Finds or starts a server and the servers that it needs, where they are not up already.
    pub(crate) fn bring_up(&mut self, name: &str) -> Result<&Running> {
        let server =
            find(name).with_context(|| format!("unknown server {name}; known: {}", names().join(", ")))?;
        if let Some(why) = self.failed.get(name) {
            bail!("{why}");
        }
        if self.get(name).is_none() {
            let running = self.obtain(server).inspect_err(|error| {
                self.failed.insert(server.name, format!("{error:#}"));
            })?;
            eprintln!("{running} is up");
            self.up.push(running);
        }
        self.get(name).context("it is up")
    }

    fn obtain(&mut self, server: &'static Server) -> Result<Running> {
        let name = server.name;
        if let Some(environment) = server.given()? {
            let variable = environment.first().map_or("a variable", |(name, _)| name);
            let (version, source) = (server.check(&environment)?, format!("given by {variable}"));
            return Ok(Running { name, version, source, environment, process: None });
        }
        for needed in server.needs {
            self.bring_up(needed).with_context(|| format!("{name} needs {needed}"))?;
        }
        let program = program::program(server)?;
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

    /// Takes out the servers that have ended by themselves, and reports how.
    pub(crate) fn ended(&mut self) -> Vec<(&'static str, String)> {
        let how = |running: &mut Running| Some((running.name, running.process.as_mut()?.ended()?));
        let ended: Vec<_> = self.up.iter_mut().filter_map(how).collect();
        self.up.retain(|running| !ended.iter().any(|(name, _)| *name == running.name));
        self.failed.extend(ended.iter().map(|(name, how)| (*name, format!("{name} ended: {how}"))));
        ended
    }

    fn run(&mut self, words: &[String]) -> Result<ExitCode> {
        let [program, args @ ..] = words else { bail!("no command to run") };
        let mut command = Command::new(program);
        command.args(args).envs(self.environment());
        let shown = cargo::shown(&command);
        let mut child =
            guard::guarded(&command, &[]).spawn().with_context(|| format!("cannot run `{shown}`"))?;
        let pipe = child.stdin.take(); // `wait` would close it, which stops the command
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

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.source)
    }
}

impl Drop for Servers {
    /// The last first: a server ends before the one that it needs.
    fn drop(&mut self) {
        while self.up.pop().is_some() {}
    }
}
