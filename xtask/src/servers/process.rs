//! The process of one server: started under a guard, watched, stopped.

use std::fs::{File, Permissions};
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, Command};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail};

use super::Environment;
use super::catalog::Server;
use super::plans::Setup;
use super::probe::Probe;
use super::program::Program;
use crate::guard;

/// Far more than any server needs on a busy machine: the slowest took 3 s on an idle one.
const READY_WITHIN: Duration = Duration::from_secs(90);
const TRIES: usize = 3;
/// Below the ports that Linux, macOS and Windows give to connections and to listeners on port 0.
const PORTS: std::ops::Range<u16> = 10_000..32_768;

/// A server that runs until this is dropped or xtask ends.
pub(super) struct Process {
    guard: Child,
    /// The guard stops the server when this is closed.
    pipe: Option<ChildStdin>,
    log: File,
}

/// Starts a server, and waits until it answers; gives the variables of the test programs.
///
/// Tries again with other ports where the server ended before it was ready: another process may
/// have taken its port. A server that did not answer in time is not started again.
pub(super) fn start(
    server: &Server,
    program: &Program,
    environment: &Environment,
) -> Result<(Process, Environment)> {
    let begin = Instant::now();
    for _ in 1..TRIES {
        let started = Process::start(server, program, environment);
        if started.is_ok() || begin.elapsed() >= READY_WITHIN {
            return started;
        }
    }
    Process::start(server, program, environment)
}

impl Process {
    fn start(server: &Server, program: &Program, environment: &Environment) -> Result<(Self, Environment)> {
        let mut builder = tempfile::Builder::new();
        builder.permissions(Permissions::from_mode(0o700)); // servers keep their keys there
        let home = builder.prefix(&format!("cred-{}-", server.name)).tempdir()?;
        let folder = home.path();
        let (variables, program) = (server.variables, program.path.as_path());
        let plan = (server.plan)(&Setup { folder, variables, environment, program })?;
        let mut command = Command::new(program);
        command.args(&plan.args).current_dir(folder);
        // No VAULT_NAMESPACE or AWS_PROFILE of the developer decides how a test server behaves.
        for (name, _) in env::vars_os().filter(|(name, _)| name != "PATH" && name != "TMPDIR") {
            command.env_remove(name);
        }
        command.env("HOME", folder).envs(plan.variables);
        let log = File::options().create(true).read(true).append(true).open(folder.join("log"))?;
        let mut guarded = guard::guarded(&command, &[folder]);
        guarded.stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut guard = guarded.spawn().with_context(|| format!("cannot start {}", server.name))?;
        let pipe = guard.stdin.take();
        let _ = home.keep(); // the guard removes it
        let mut process = Self { guard, pipe, log };
        process.wait_until_ready(server.name, &plan.ready)?;
        Ok((process, plan.environment))
    }

    fn wait_until_ready(&mut self, name: &str, probe: &Probe) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < READY_WITHIN {
            let answers = probe.answer()?.is_some();
            // Checked after the answer, which another server on the same port may have given.
            if let Some(how) = self.ended() {
                bail!("{name} ended before it was ready: {how}");
            }
            if answers {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("{name} was not ready after {} s:\n{}", READY_WITHIN.as_secs(), self.end_of_log())
    }

    /// How it ended, where it did.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.guard.try_wait().ok()??;
        Some(format!("{status}\n{}", self.end_of_log()))
    }

    /// The file may be removed already, but it is open here.
    fn end_of_log(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.log.rewind().and_then(|()| self.log.read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    /// Waits until the server has ended, within seconds.
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.guard.wait();
    }
}

/// A random port of loopback on which no process listens.
///
/// Only three of the servers can pick a port themselves and report it. No process gets one of this
/// range for a connection or by listening on port 0: only a process that names the same port can
/// take it before the server does.
pub(super) fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = PORTS.start + u16::from_ne_bytes(random()?) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("100 ports from {} to {} are in use", PORTS.start, PORTS.end)
}

/// A token that appears nowhere else, so that a test can search output for it.
pub(super) fn token() -> Result<String> {
    Ok(format!("test-{:032x}", u128::from_ne_bytes(random()?)))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("no randomness")?;
    Ok(bytes)
}
