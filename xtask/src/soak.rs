//! The soak: the manager under everything at once, for long. Its program is a test of `cred-manager`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cargo;
use crate::test::Report;

const PACKAGE: &str = "cred-manager";
const PROGRAM: &str = "soak";
/// How long it runs, in minutes.
const VARIABLE: &str = "CRED_SOAK_MINUTES";
/// What glibc's allocator keeps for each thread fills for many minutes, and looks like a leak: without it, and with one arena,
/// resident memory stays close to what is really held. Another allocator ignores it.
const KEEPS_NOTHING: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1");

#[derive(Args)]
pub(crate) struct Options {
    /// How long it runs, over local files and over a faulty provider together
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: u32,
}

/// Runs it, optimised, and shows what it measures as it goes.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let words = ["test", "--release", "--package", PACKAGE, "--test", PROGRAM, "--"];
    let mut command = cargo::cargo(words);
    command.args(["--ignored", "--nocapture"]).env(VARIABLE, options.minutes.to_string());
    command.env(KEEPS_NOTHING.0, KEEPS_NOTHING.1);
    let mut report = Report::default();
    let mut run = report.start(PROGRAM);
    let success = cargo::each_line(&command, |line| run.line(line, |_| PACKAGE.to_owned()))?;
    if let Err(error) = run.end(success) {
        println!("{error:#}");
    }
    // Without a single test it would pass for ever.
    report.conclude();
    println!("\n{}\n{}", report.details(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
