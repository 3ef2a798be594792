//! Local files under fire: the test program `fire` of `cred-store-local`, whole, and what of it needs strace.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::cargo;
use crate::test::{Program, Report};

/// What `--allow-missing` calls it.
pub(crate) const TOOL: &str = "strace";

const PACKAGE: &str = "cred-store-local";
const PROGRAM: &str = "fire";
const TARGET: &str = "tests/fire/main.rs";
/// How the tests say that they need it.
const REASON: &str = "needs strace: cargo xtask fire";
/// Is started by the tests, and is none.
const WORKER: &str = "worker::worker";

/// Everything, at full size: minutes.
pub(crate) fn run() -> Result<ExitCode> {
    strace()?;
    let mut report = Report::default();
    let words = ["--include-ignored", "--skip", WORKER, "--test-threads=1", "--show-output"];
    // Optimised: a list by contents of 100,000 files would not end in an operation's time otherwise.
    let own = ["test", "--package", PACKAGE, "--test", PROGRAM, "--release", "--"];
    let mut command = cargo::cargo(own.iter().chain(&words));
    command.env("CRED_FIRE_FULL", "1");
    if let Err(error) = watch(&command, &mut report) {
        println!("{error:#}");
    }
    report.conclude();
    println!("\n{}\n{}", report.details(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As a step of the gate: of what the tests have skipped, what needs strace, in its short form.
pub(crate) fn catch_up(allow_missing: bool, programs: &[Program], report: &mut Report) -> Result<()> {
    let waiting = report.skips(PACKAGE, TARGET).filter(|skip| skip.reason == REASON);
    let names: Vec<String> = waiting.map(|skip| skip.name.clone()).collect();
    let built = programs.iter().find(|program| program.package == PACKAGE && program.source == TARGET);
    let Some(program) = built.filter(|_| !names.is_empty()) else {
        report.failure(PACKAGE, TARGET, "not one test needs strace");
        bail!("not one test needs strace");
    };
    match strace() {
        Err(error) if allow_missing => {
            println!("{error:#}\n{} tests stay skipped, as allowed", names.len());
            return Ok(());
        }
        Err(error) => {
            report.failure(PACKAGE, TARGET, "no strace");
            return Err(error);
        }
        Ok(()) => {}
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    program.catch_up(&names, &["--show-output"], &[], report)
}

fn watch(command: &Command, report: &mut Report) -> Result<()> {
    let mut run = report.start("fire");
    let success = cargo::each_line(command, |line| run.line(line, |_| PACKAGE.to_owned()))?;
    run.end(success)
}

/// That there is one is not enough: some containers forbid what it does.
fn strace() -> Result<()> {
    let mut command = Command::new(TOOL);
    command.args(["-o", "/dev/null", "true"]).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("strace may trace nothing here: the container needs the right to ptrace"),
        Err(_) => {
            bail!("no strace on PATH: install the package strace, or say `--allow-missing strace` to `ci`")
        }
    }
}
