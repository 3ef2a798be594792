//! The test programs that take too long for the gate: local files under fire, and the soak.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::cargo;
use crate::test::{Program, Report};

/// The name that `--allow-missing` takes for the tool that some tests need.
pub(crate) const STRACE: &str = "strace";

const FIRE_PACKAGE: &str = "cred-store-local";
/// How the reason of a test that needs strace begins.
const STRACE_REASON: &str = "needs strace";
/// An entry point for the tests' own processes.
const FIRE_WORKER: &str = "worker::worker";

/// glibc's caches for each thread fill for many minutes and look like a leak. Without them, and
/// with one arena, resident memory stays close to the allocated memory. Another allocator ignores
/// this.
const NO_MALLOC_CACHES: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1");

#[derive(Args)]
pub(crate) struct SoakOptions {
    /// How long it runs, over local files and over a faulty provider together
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: u32,
}

/// Local files under fire, at full size.
pub(crate) fn fire() -> Result<()> {
    strace()?;
    // Optimised: otherwise a filtered list of 100,000 files would exceed the timeout of an
    // operation.
    let mut command = cargo::cargo(["test", "--package", FIRE_PACKAGE, "--test", "fire", "--release", "--"]);
    command.args(["--include-ignored", "--skip", FIRE_WORKER, "--test-threads=1", "--show-output"]);
    cargo::run(command.env("CRED_FIRE_FULL", "1"))
}

/// The step of the gate: of the skipped tests, runs those that need strace, in their short form.
pub(crate) fn strace_catch_up(allow_missing: bool, programs: &[Program], report: &mut Report) -> Result<()> {
    let mut waiting = Vec::new();
    for program in programs {
        let Some(suite) = report.suite(&program.package, &program.source) else { continue };
        let skips = suite.skips().iter().filter(|skip| skip.reason.starts_with(STRACE_REASON));
        let names: Vec<String> = skips.map(|skip| skip.name.clone()).collect();
        waiting.extend((!names.is_empty()).then_some((program, names)));
    }
    if waiting.is_empty() {
        bail!("not one test needs strace");
    }
    match strace() {
        Err(error) if allow_missing => {
            println!("{error:#}\nthe tests that need it stay skipped, as allowed");
            return Ok(());
        }
        result => result?,
    }
    let mut failed = false;
    for (program, names) in waiting {
        let Some(suite) = report.suite(&program.package, &program.source) else { continue };
        let before = suite.failures().len();
        suite.catch_up(&names, program.run_ignored(&names, &[]));
        failed |= suite.failures().len() > before;
    }
    if failed { bail!("see the tables") } else { Ok(()) }
}

/// The manager under all kinds of load and faults at once, optimised.
pub(crate) fn soak(options: &SoakOptions) -> Result<()> {
    let mut command =
        cargo::cargo(["test", "--release", "--package", "cred-manager", "--test", "soak", "--"]);
    command.args(["--ignored", "--nocapture"]).env("CRED_SOAK_MINUTES", options.minutes.to_string());
    cargo::run(command.env(NO_MALLOC_CACHES.0, NO_MALLOC_CACHES.1))
}

/// It is not enough that the program exists: some containers forbid tracing.
fn strace() -> Result<()> {
    let mut command = Command::new(STRACE);
    command.args(["-o", "/dev/null", "true"]).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("strace cannot trace here: the container needs the right to ptrace"),
        Err(_) => {
            bail!("no strace on PATH: install the package strace, or pass `--allow-missing strace` to `ci`")
        }
    }
}
