//! Running the tests and telling what ran.

mod report;

use std::collections::BTreeMap;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Message, TargetKind};

pub(crate) use self::report::{Counts, Report, Skip};
use crate::{cargo, workspace};

/// Which crates are tested.
pub(crate) enum Selection {
    Everything,
    Crates(Vec<String>),
}

pub(crate) fn run(crates: &[String]) -> Result<ExitCode> {
    let selection =
        if crates.is_empty() { Selection::Everything } else { Selection::Crates(crates.to_vec()) };
    let mut report = Report::default();
    for result in [built_tests(&selection, &mut report), doc_tests(&selection, &mut report)] {
        if let Err(error) = result {
            println!("{error:#}");
        }
    }
    report.conclude();
    println!("\n{}\n{}", report.details(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unit and integration tests, all of them also after one has failed.
pub(crate) fn built_tests(selection: &Selection, report: &mut Report) -> Result<()> {
    let mut args = vec!["test".to_owned(), "--tests".to_owned(), "--all-features".to_owned()];
    args.extend(selection.args());
    let crates = match build(&args) {
        Ok(crates) => crates,
        Err(error) => {
            report.never_ran("tests");
            return Err(error);
        }
    };
    args.push("--no-fail-fast".to_owned());
    watch(&args, report, "tests", |program| {
        crates.get(program).cloned().unwrap_or_else(|| "(unknown crate)".to_owned())
    })
}

/// The examples in the docs of every library.
pub(crate) fn doc_tests(selection: &Selection, report: &mut Report) -> Result<()> {
    let mut crates = BTreeMap::new(); // the name of the library, as cargo prints it -> the name of the package
    for package in workspace::members()? {
        for target in &package.targets {
            if target.doctest && target.kind.contains(&TargetKind::Lib) && selection.has(&package.name) {
                crates.insert(target.name.replace('-', "_"), package.name.to_string());
            }
        }
    }
    if crates.is_empty() {
        return Ok(());
    }
    let mut args: Vec<String> =
        ["test", "--doc", "--all-features", "--no-fail-fast"].map(str::to_owned).into();
    for package in crates.values() {
        args.extend(["--package".to_owned(), package.clone()]);
    }
    watch(&args, report, "doc tests", |library| {
        crates.get(library).cloned().unwrap_or_else(|| library.to_owned())
    })
}

/// Builds the tests and tells which crate each test program belongs to, which the later run does not print:
/// several crates may have a `tests/conformance.rs`.
fn build(args: &[String]) -> Result<BTreeMap<String, String>> {
    let mut command = cargo::cargo(args);
    command.args(["--no-run", "--message-format=json-render-diagnostics"]);
    let shown = cargo::shown(&command);
    println!("$ {shown}");
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let packages = workspace::members()?;
    let mut crates = BTreeMap::new();
    for message in Message::parse_stream(output.stdout.as_slice()) {
        if let Message::CompilerArtifact(artifact) = message.context("cannot read cargo's messages")?
            && let Some(program) = artifact.executable.as_ref().and_then(|path| path.file_name())
            && let Some(package) = packages.iter().find(|package| package.id == artifact.package_id)
        {
            crates.insert(program.to_owned(), package.name.to_string());
        }
    }
    Ok(crates)
}

fn watch(args: &[String], report: &mut Report, what: &str, crate_of: impl Fn(&str) -> String) -> Result<()> {
    let mut run = report.start(what);
    let success = cargo::each_line(&cargo::cargo(args), |line| run.line(line, &crate_of))?;
    run.end(success)
}

impl Selection {
    fn args(&self) -> Vec<String> {
        match self {
            Selection::Everything => vec!["--workspace".to_owned()],
            Selection::Crates(names) => {
                names.iter().flat_map(|name| ["--package".to_owned(), name.clone()]).collect()
            }
        }
    }

    fn has(&self, package: &str) -> bool {
        match self {
            Selection::Everything => true,
            Selection::Crates(names) => names.iter().any(|name| name == package),
        }
    }
}
