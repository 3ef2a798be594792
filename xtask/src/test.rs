//! Running the tests and telling what ran.

mod program;
mod report;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use cargo_metadata::TargetKind;

pub(crate) use self::program::{Program, build};
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
    let built = built_tests(&selection, &mut report, &mut Vec::new());
    for result in [built, doc_tests(&selection, &mut report)] {
        if let Err(error) = result {
            println!("{error:#}");
        }
    }
    report.conclude();
    println!("\n{}\n{}", report.details(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unit and integration tests, all of them also after one has failed. Gives the programs, for what is run of them later; none if
/// they do not build.
pub(crate) fn built_tests(
    selection: &Selection,
    report: &mut Report,
    programs: &mut Vec<Program>,
) -> Result<()> {
    let mut args = vec!["test".to_owned(), "--tests".to_owned(), "--all-features".to_owned()];
    args.extend(selection.args());
    *programs = match workspace::members().and_then(|packages| build(&args, &packages)) {
        Ok(programs) => programs,
        Err(error) => {
            report.never_ran("tests");
            return Err(error);
        }
    };
    args.push("--no-fail-fast".to_owned());
    watch(&args, report, "tests", |file| {
        let known = programs.iter().find(|program| program.file.ends_with(file));
        known.map_or_else(|| "(unknown crate)".to_owned(), |program| program.package.clone())
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
