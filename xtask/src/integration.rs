//! Each backend's conformance suite and own tests, against the real servers.

mod backends;
mod reason;
mod suites;
mod summary;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Package, TargetKind};

use self::backends::Backend;
pub(crate) use self::reason::{PREFIX, Reason};
use self::summary::{Row, Summary};
use crate::servers::{Environment, Servers};
use crate::test::{self, Report, Selection};
use crate::{cargo, servers, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The backends: local, vault, aws, azure, k8s, redis (an example); all that the workspace has where none is named
    backends: Vec<String>,
    /// A server that may be missing: its tests are then skipped and named, instead of failing the run
    #[arg(long, value_name = "SERVER")]
    allow_missing: Vec<String>,
    /// Leaves the servers up, and prints their addresses
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (mut report, summary) = tested(options)?;
    report.conclude();
    println!("\n{}\n{}\n{}", report.details(), summary.text(), report.totals());
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As a step of the gate: all backends that there are.
pub(crate) fn all(allow_missing: &[String], report: &mut Report) -> Result<()> {
    let options = Options { backends: Vec::new(), allow_missing: allow_missing.to_vec(), keep: false };
    let (integration, summary) = tested(&options)?;
    println!("\n{}", summary.text());
    let good = integration.passed();
    report.absorb(integration);
    if good { Ok(()) } else { bail!("see the tables") }
}

fn tested(options: &Options) -> Result<(Report, Summary)> {
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
        servers: Servers::new(options.keep),
        allow_missing: &options.allow_missing,
        report: Report::default(),
        summary: Summary::default(),
    };
    for backend in backends {
        run.backend(backend);
    }
    if options.keep {
        println!(
            "\nleft up; `cargo xtask servers down` stops them:\n{}",
            servers::exports(&run.servers.environment())
        );
    }
    Ok((run.report, run.summary))
}

struct Run<'a> {
    packages: &'a [Package],
    servers: Servers,
    allow_missing: &'a [String],
    report: Report,
    summary: Summary,
}

impl Run<'_> {
    /// What goes wrong is in the report, whether a test could tell it or not.
    fn backend(&mut self, backend: &Backend) {
        println!("\n== {}", backend.name);
        let mut report = Report::default();
        let mut row = Row::new(backend.name);
        if backend.servers.is_empty() {
            let selection = Selection::Crates(vec![backend.package.to_owned()]);
            let _ = test::built_tests(&selection, &mut report);
        } else {
            self.bring_up(backend, &mut row, &mut report);
            report.absorb(self.suites(backend));
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

    /// The backend's own tests, and those that another crate has for it in `tests/integration_NAME.rs`.
    fn suites(&self, backend: &Backend) -> Report {
        let environment = self.servers.environment();
        let is_up = |server: &str| self.servers.get(server).is_some();
        let run = |package: &str, programs: &BTreeMap<String, String>| {
            suites::run(backend, package, programs, is_up, |args, report| {
                // What went wrong is in the report, or shows as tests that did not run.
                let _ = cargo_test(args, &environment, package, report);
            })
        };
        let own = self.packages.iter().find(|package| package.name.as_str() == backend.package);
        let mut report = run(backend.package, &own.map(programs).unwrap_or_default());
        let program = format!("integration_{}", backend.name);
        for other in self.packages.iter().filter(|package| package.name.as_str() != backend.package) {
            let mut theirs = programs(other);
            theirs.retain(|_, name| *name == program);
            if !theirs.is_empty() {
                report.absorb(run(&other.name, &theirs));
            }
        }
        report
    }
}

/// The package's integration programs: their source file, as cargo prints it, and their name.
fn programs(package: &Package) -> BTreeMap<String, String> {
    let folder = package.manifest_path.parent();
    let tests = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Test));
    let file = |path: &cargo_metadata::camino::Utf8Path| Some(path.strip_prefix(folder?).ok()?.to_string());
    let integration = tests.filter(|target| target.name.starts_with("integration"));
    integration.filter_map(|target| Some((file(&target.src_path)?, target.name.clone()))).collect()
}

fn cargo_test(args: &[String], environment: &Environment, package: &str, report: &mut Report) -> Result<()> {
    let mut command = cargo::cargo(args);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut run = report.start("integration tests");
    let success = cargo::each_line(&command, |line| run.line(line, |_| package.to_owned()))?;
    run.end(success)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
