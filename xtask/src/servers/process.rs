//! One server's process: started under a guard, waited for, watched, stopped.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Seek};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Environment;
use super::catalog::Server;
use super::probe::Probe;
use super::source::Program;
use crate::{cache, guard};

/// Far more than any server needs on a busy machine (the slowest was seen to take 3 s on a quiet one).
const READY_WITHIN: Duration = Duration::from_secs(90);
const TRIES: usize = 3;
/// Below the ports that Linux, macOS and Windows give to connections and to listeners on port 0.
const PORTS: std::ops::Range<u16> = 10_000..32_768;

/// Where and beside what a server is started.
pub(super) struct Setup<'a> {
    /// For its files: empty, ours alone, removed when it has ended.
    pub(super) folder: &'a Path,
    /// Of the servers that are up already.
    pub(super) environment: &'a Environment,
    /// The program and its first words.
    pub(super) words: &'a [String],
}

/// How to start a server, and how to reach it.
pub(super) struct Plan {
    pub(super) args: Vec<String>,
    /// Variables of the server itself.
    pub(super) variables: Environment,
    /// Variables of the test programs.
    pub(super) environment: Environment,
    pub(super) ready: Probe,
}

/// A server that runs until this is dropped or this program ends.
pub(super) struct Process {
    guard: Child,
    /// While it is open, the guard lets the server run.
    pipe: Option<ChildStdin>,
    log: File,
}

/// Starts a server in a fresh folder.
pub(super) fn start(
    server: &Server,
    program: &Program,
    environment: &Environment,
) -> Result<(Process, Environment)> {
    tries(|| {
        let folder = fresh_folder(server.name)?;
        // Its guard removes the folder, once there is a guard.
        let started = Process::start(server, program, environment, &folder);
        started.or_else(|error| cache::remove_folder(&folder).and(Err(error)))
    })
}

/// Tries again where a server ended before it was ready, as it does when its port was taken; not where it was
/// waited for in vain.
fn tries<T>(mut start: impl FnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    let mut result = start();
    for _ in 1..TRIES {
        if result.is_ok() || begin.elapsed() >= READY_WITHIN {
            break;
        }
        result = start();
    }
    result
}

impl Process {
    /// `folder` must exist and be empty.
    fn start(
        server: &Server,
        program: &Program,
        environment: &Environment,
        folder: &Path,
    ) -> Result<(Self, Environment)> {
        let plan = (server.plan)(&Setup { folder, environment, words: &program.words })?;
        let (word, first) = program.words.split_first().context("no program")?;
        let mut command = Command::new(word);
        command.args(first).args(&plan.args).current_dir(folder);
        for (name, _) in std::env::vars_os() {
            // Nobody's VAULT_NAMESPACE or AWS_PROFILE decides how a test server behaves.
            if !["PATH", "TMPDIR"].iter().any(|kept| name == *kept) {
                command.env_remove(name);
            }
        }
        command.env("HOME", folder).envs(plan.variables);
        let path = folder.join("log");
        let open = File::options().create(true).read(true).append(true).open(&path);
        let log = open.with_context(|| format!("cannot open {}", path.display()))?;
        let mut guarded = guard::guarded(&command, &[folder]);
        guarded.stdout(log.try_clone()?).stderr(log.try_clone()?);
        let mut guard = guarded.spawn().with_context(|| format!("cannot start {}", server.name))?;
        let pipe = guard.stdin.take();
        let mut process = Self { guard, pipe, log };
        process.wait_until_ready(server.name, &plan.ready)?;
        Ok((process, plan.environment))
    }

    fn wait_until_ready(&mut self, name: &str, probe: &Probe) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < READY_WITHIN {
            let answers = probe.answer()?.is_some();
            if let Some(how) = self.ended() {
                bail!("{name} ended before it was ready: {how}"); // what answers is another's, on our port
            }
            if answers {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("{name} was not ready after {} s:\n{}", READY_WITHIN.as_secs(), self.last_words())
    }

    /// How it ended, where it did.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.guard.try_wait().ok()??;
        Some(format!("{status}\n{}", self.last_words()))
    }

    /// The end of what it printed; the file may be gone already, but not what is open here.
    fn last_words(&mut self) -> String {
        let mut text = Vec::new();
        let read = self.log.rewind().and_then(|()| self.log.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        match read {
            Ok(_) => lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n"),
            Err(error) => format!("(its output cannot be read: {error})"),
        }
    }
}

impl Drop for Process {
    /// Waits until the server has ended, which its guard sees to within seconds.
    fn drop(&mut self) {
        if self.pipe.take().is_some() {
            let _ = self.guard.wait();
        }
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

/// A token that nothing else contains, so that a test can look for it in what was printed.
pub(super) fn token() -> Result<String> {
    Ok(format!("test-{}", BASE64_URL_SAFE_NO_PAD.encode(random::<24>()?)))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("no randomness")?;
    Ok(bytes)
}

/// An empty folder for our eyes alone: a server keeps its keys there.
fn fresh_folder(name: &str) -> Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("cred-{name}-{}-{next}", std::process::id()));
    make_folder(&folder)?;
    Ok(folder)
}

fn make_folder(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot create {}", folder.display()))
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
