//! Runs the tests and reports what ran.

mod program;
mod report;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;
use cargo_metadata::Package;

pub(crate) use self::program::{Program, build};
pub(crate) use self::report::{Report, Suite};
use crate::{cargo, workspace};

/// The example service: a separate workspace, whose tests need no server.
pub(crate) const EXAMPLE: &str = "examples/service";

/// `cargo xtask test`: the tests of these crates; of all crates and the example service if none is
/// named.
pub(crate) fn run(crates: &[String]) -> Result<ExitCode> {
    let run = |name, programs: Result<Vec<Program>>| match programs {
        Ok(programs) => run_all(&programs),
        Err(error) => Report::of(Suite::failure(name, "tests", &format!("{error:#}"))),
    };
    let mut report = run("(all)", programs(crates));
    if crates.is_empty() {
        report.extend(run("service", example_programs()));
    }
    report.extend(doc_tests(crates)?);
    Ok(report.conclude())
}

/// Builds the unit and integration tests of these crates, of all where none is named.
pub(crate) fn programs(crates: &[String]) -> Result<Vec<Program>> {
    let mut words = vec!["--tests".to_owned(), "--all-features".to_owned()];
    words.extend(selection(crates));
    build(&words, &workspace::members()?)
}

/// Builds the tests of the example service, by its own lock file.
pub(crate) fn example_programs() -> Result<Vec<Program>> {
    let manifest = workspace::root().join(EXAMPLE).join("Cargo.toml").display().to_string();
    build(&["--locked".to_owned(), "--manifest-path".to_owned(), manifest], &workspace::members_of(EXAMPLE)?)
}

/// Runs the programs, as many at once as the machine has cores: most tests wait more than they
/// compute.
pub(crate) fn run_all(programs: &[Program]) -> Report {
    let (next, report) = (AtomicUsize::new(0), Mutex::new(Report::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(program) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let suite = program.run(&[], &[]);
                    report.lock().unwrap_or_else(PoisonError::into_inner).add(suite);
                }
            });
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The examples in the docs of these crates, of all where none is named.
///
/// All in one `cargo test`: one for each crate would compile the SDKs again, with other features.
pub(crate) fn doc_tests(crates: &[String]) -> Result<Report> {
    let has_docs = |package: &Package| package.targets.iter().any(|target| target.doctest);
    let members = workspace::members()?;
    let named = members.iter().filter(|package| crates.contains(&package.name) && has_docs(package));
    let named: Vec<String> = named.map(|package| package.name.to_string()).collect();
    if named.is_empty() && !crates.is_empty() {
        return Ok(Report::default()); // programs alone
    }
    let mut command = cargo::cargo(["test", "--doc", "--all-features", "--no-fail-fast"]);
    Ok(Report::of(Suite::run("(all)", "doc tests", command.args(selection(&named)))))
}

fn selection(crates: &[String]) -> Vec<String> {
    let each = crates.iter().flat_map(|name| ["--package".to_owned(), name.clone()]);
    if crates.is_empty() { vec!["--workspace".to_owned()] } else { each.collect() }
}
