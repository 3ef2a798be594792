//! Local files under fire: the test program `fire` of `cred-store-local`, whole, and what of it needs strace.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, bail};

use crate::cargo;
use crate::test::Report;

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
    let mut command = program(&["--release"], &words);
    command.env("CRED_FIRE_FULL", "1");
    if let Err(error) = watch(&command, &mut report) {
        println!("{error:#}");
    }
    report.conclude();
    println!("\n{}\n{}", report.details(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As a step of the gate: of what the tests have skipped, what needs strace, in its short form.
pub(crate) fn catch_up(allow_missing: bool, report: &mut Report) -> Result<()> {
    let waiting = report.skips(TARGET).filter(|skip| skip.reason == REASON);
    let names: Vec<String> = waiting.map(|skip| skip.name.clone()).collect();
    if names.is_empty() {
        report.failure(PACKAGE, TARGET, "not one test needs strace");
        bail!("not one test needs strace");
    }
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
    let mut words = vec!["--exact", "--ignored", "--show-output"];
    words.extend(names.iter().map(String::as_str));
    let mut later = Report::default();
    let result = watch(&program(&[], &words), &mut later);
    let ran = later.counts();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    report.caught_up(TARGET, &names, later);
    let lost = names.len().saturating_sub(ran.passed + ran.failed);
    if lost > 0 {
        report.failure(PACKAGE, TARGET, &format!("{lost} tests did not run though asked to"));
        bail!("{lost} tests did not run");
    }
    result
}

fn program(profile: &[&str], words: &[&str]) -> Command {
    let own = ["test", "--package", PACKAGE, "--test", PROGRAM];
    cargo::cargo(own.iter().chain(profile).chain(&["--"]).chain(words))
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
