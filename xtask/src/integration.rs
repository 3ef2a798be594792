//! Each backend's conformance suite and own tests, against the real servers.

mod backends;
mod reason;
mod suites;
mod summary;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Package, TargetKind};

use self::backends::Backend;
pub(crate) use self::reason::{PREFIX, Reason};
use self::summary::{Row, Summary};
use crate::servers::Servers;
use crate::test::{self, Program, Report, Selection};
use crate::{servers, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The backends: local, vault, aws, azure, k8s, redis (an example); all that the workspace has where none is named
    backends: Vec<String>,
    /// A server that may be missing: its tests are then skipped and named, instead of failing the run
    #[arg(long, value_name = "SERVER")]
    allow_missing: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (mut report, summary) = tested(options, None)?;
    report.conclude();
    println!("\n{}\n{}\n{}", report.details(), summary.text(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As a step of the gate: of what the tests have skipped, what needs a server, of all backends that there are. By the programs
/// that are built already: `cargo test --package` would compile each backend once more, since it gives the dependencies other features.
pub(crate) fn catch_up(allow_missing: &[String], programs: &[Program], report: &mut Report) -> Result<()> {
    let options = Options { backends: Vec::new(), allow_missing: allow_missing.to_vec() };
    let (integration, summary) = tested(&options, Some(Earlier { programs, report }))?;
    println!("\n{}", summary.text());
    let good = integration.passed();
    report.absorb(integration);
    if good { Ok(()) } else { bail!("see the tables") }
}

/// What has run already, without servers.
struct Earlier<'a> {
    programs: &'a [Program],
    report: &'a mut Report,
}

fn tested(options: &Options, earlier: Option<Earlier<'_>>) -> Result<(Report, Summary)> {
    for name in &options.allow_missing {
        servers::find(name).with_context(|| {
            format!("--allow-missing: there is no server {name}; there are {}", servers::names().join(", "))
        })?;
    }
    let mut packages = workspace::members()?;
    for folder in backends::outside() {
        packages.extend(workspace::members_of(folder)?);
    }
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let backends = backends::select(&options.backends, &names)?;
    let mut run = Run {
        packages: &packages,
        earlier,
        servers: Servers::default(),
        allow_missing: &options.allow_missing,
        report: Report::default(),
        summary: Summary::default(),
    };
    for backend in backends {
        run.backend(backend);
    }
    Ok((run.report, run.summary))
}

struct Run<'a> {
    packages: &'a [Package],
    earlier: Option<Earlier<'a>>,
    servers: Servers,
    allow_missing: &'a [String],
    report: Report,
    summary: Summary,
}

impl Run<'_> {
    /// What goes wrong is in the report, whether a test could tell it or not.
    fn backend(&mut self, backend: &Backend) {
        println!("\n== {}", backend.name);
        let mut row = Row::new(backend.name);
        let (programs, mut report) = match &mut self.earlier {
            Some(earlier) if backend.outside.is_none() => earlier.of(backend),
            _ => self.without_servers(backend),
        };
        if !backend.servers.is_empty() {
            self.bring_up(backend, &mut row, &mut report);
            let environment = self.servers.environment();
            let is_up = |server: &str| self.servers.get(server).is_some();
            suites::catch_up(backend, &programs, is_up, &mut report, |program, names, report| {
                // What went wrong is in the report.
                let _ = program.catch_up(names, &[], &environment, report);
            });
            for (server, how) in self.servers.ended() {
                println!("{server} ended during the tests: {how}");
                let why = format!("ended during the tests: {}", first_line(&how));
                report.failure(backend.package, server, &why);
            }
        }
        let counts = report.counts();
        if counts.passed + counts.failed == 0 && !row.is_excused() {
            report.failure(backend.package, "tests", "not one test ran");
        }
        self.summary.add(row, &report);
        self.report.absorb(report);
    }

    /// Builds what the backend needs alone, and runs what of it needs no server.
    fn without_servers(&self, backend: &Backend) -> (Vec<Program>, Report) {
        let (mut programs, mut report) = (Vec::new(), Report::default());
        if backend.servers.is_empty() {
            let selection = Selection::Crates(vec![backend.package.to_owned()]);
            // What went wrong is in the report.
            let _ = test::built_tests(&selection, &mut report, &mut programs);
            return (programs, report);
        }
        let (own, others): (Vec<_>, Vec<_>) =
            self.packages.iter().partition(|package| package.name.as_str() == backend.package);
        for package in own.into_iter().chain(others) {
            let Some(words) = words(backend, package) else { continue };
            match test::build(&words, self.packages) {
                Ok(built) => programs.extend(built),
                Err(error) => report.failure(&package.name, "tests", &format!("{error:#}")),
            }
        }
        for program in &programs {
            // As above.
            let _ = program.run(&[], &[], &mut report);
        }
        (programs, report)
    }

    fn bring_up(&mut self, backend: &Backend, row: &mut Row, report: &mut Report) {
        for server in backend.servers {
            if let Err(error) = self.servers.bring_up(server) {
                let why = format!("{error:#}");
                println!("{why}");
                let allowed = self.allow_missing.iter().any(|name| name == server);
                row.missing(server, allowed);
                if !allowed {
                    report.failure(backend.package, server, &format!("no server: {}", first_line(&why)));
                }
            } else if let Some(running) = self.servers.get(server) {
                row.server(running);
            }
        }
    }
}

impl Earlier<'_> {
    /// What has run of the backend's.
    fn of(&mut self, backend: &Backend) -> (Vec<Program>, Report) {
        let own = |program: &&Program| match backend.servers {
            [] => program.package == backend.package,
            _ => backend.tests_itself_by(&program.package, &program.name),
        };
        let programs: Vec<Program> = self.programs.iter().filter(own).cloned().collect();
        let ran = |package: &str, source: &str| {
            programs.iter().any(|program| program.package == package && program.source == source)
        };
        let report = self.report.split_off(ran);
        (programs, report)
    }
}

/// What `cargo` is told to build the package's tests of the backend; `None`: it has none.
fn words(backend: &Backend, package: &Package) -> Option<Vec<String>> {
    let tests = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Test));
    let own = tests.filter(|target| backend.tests_itself_by(&package.name, &target.name));
    let own: Vec<_> = own.flat_map(|target| ["--test".to_owned(), target.name.clone()]).collect();
    if own.is_empty() {
        return None;
    }
    // Of another crate, what this backend needs: all its features would compile the SDKs of all others once more.
    let features = match package.name.as_str() == backend.package {
        true => "--all-features".to_owned(),
        false => format!("--features={}", backend.name),
    };
    let mut words = vec!["test".to_owned(), features, "--package".to_owned(), package.name.to_string()];
    if let Some(folder) = backend.outside {
        words.extend(["--manifest-path".to_owned(), format!("{folder}/Cargo.toml")]);
    }
    words.extend(own);
    Some(words)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
