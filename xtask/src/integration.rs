//! Each backend's conformance suite and own tests, against the real servers.

mod backends;
mod reason;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Package, TargetKind};

use self::backends::Backend;
pub(crate) use self::reason::{PREFIX, Reason};
use crate::servers::Servers;
use crate::test::{self, Program, Report, Suite};
use crate::{servers, table, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The backends: local, vault, aws, azure, k8s, redis (an example); all where none is named
    backends: Vec<String>,
    /// A server that may be missing: its tests are then skipped and named, instead of failing the
    /// run
    #[arg(long, value_name = "SERVER")]
    allow_missing: Vec<String>,
}

/// `cargo xtask test-integration`: builds what these backends need, runs it without servers, then
/// the tests that were skipped because a server was missing.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let packages = packages()?;
    let chosen = backends::select(&options.backends)?;
    let (mut programs, mut report) = (Vec::new(), Report::default());
    for backend in chosen.iter().filter(|backend| backend.outside.is_none()) {
        for package in &packages {
            let Some(words) = words(backend, package) else { continue };
            match test::build(&words, &packages) {
                Ok(built) => programs.extend(built),
                Err(error) => report.add(Suite::failure(&package.name, "tests", &format!("{error:#}"))),
            }
        }
    }
    report.extend(test::run_all(&programs));
    let summary = with_servers(&chosen, &options.allow_missing, &packages, &programs, &mut report)?;
    println!("\n{summary}");
    Ok(report.conclude())
}

/// The step of the gate: of the skipped tests, runs those that need a server, with the programs
/// that are already built. (`cargo test --package` would compile each SDK again, since it gives the
/// dependencies other features.)
pub(crate) fn catch_up(allow_missing: &[String], programs: &[Program], report: &mut Report) -> Result<()> {
    let chosen = backends::select(&[])?;
    let [_, before, ..] = report.counts();
    let summary = with_servers(&chosen, allow_missing, &packages()?, programs, report)?;
    println!("\n{summary}");
    let [_, failed, ..] = report.counts();
    if failed == before { Ok(()) } else { bail!("see the tables") }
}

/// Our packages, and those of the examples, which represent third-party providers.
fn packages() -> Result<Vec<Package>> {
    let mut packages = workspace::members()?;
    for folder in backends::outside() {
        packages.extend(workspace::members_of(folder)?);
    }
    Ok(packages)
}

/// Tests the backends, two at a time: each waits for its own server most of the time. Returns a
/// table of the backends, the servers and the results.
fn with_servers(
    backends: &[&'static Backend],
    allow_missing: &[String],
    packages: &[Package],
    programs: &[Program],
    report: &mut Report,
) -> Result<String> {
    for name in allow_missing {
        servers::find(name).with_context(|| {
            format!("--allow-missing: unknown server {name}; known: {}", servers::names().join(", "))
        })?;
    }
    let work = backends.iter().map(|backend| {
        let own: Vec<Program> = programs.iter().filter(|program| backend.runs(program)).cloned().collect();
        let is_own = |suite: &Suite| {
            own.iter().any(|one| one.package == suite.crate_name && one.source == suite.target)
        };
        let suites = report.take(is_own);
        BackendRun { backend, programs: own, report: suites, servers: Vec::new(), excused: false }
    });
    let (queue, done) = (Mutex::new(work.rev().collect::<Vec<_>>()), Mutex::new(BTreeMap::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mut run) = next() {
                    run.test(packages, allow_missing);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(run.backend.name, run);
                }
            });
        }
    });
    let mut rows = Vec::new();
    for (name, run) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let [passed, failed, not_offered, skipped] = run.report.counts().map(|number| number.to_string());
        rows.push([name.to_owned(), run.servers.join(", "), passed, failed, not_offered, skipped]);
        report.extend(run.report);
    }
    let header = ["backend", "servers", "passed", "failed", "not offered", "skipped"];
    Ok(table::render(header, &[2, 3, 4, 5], &rows))
}

/// The tests of one backend.
struct BackendRun {
    backend: &'static Backend,
    programs: Vec<Program>,
    /// The results without servers, then those of the remaining tests with them.
    report: Report,
    /// The required servers: version and source, or that one is missing.
    servers: Vec<String>,
    /// Whether a server was allowed to be missing, so that no test needs to have run.
    excused: bool,
}

impl BackendRun {
    /// Every failure is in the report, also one that no test could report.
    fn test(&mut self, packages: &[Package], allow_missing: &[String]) {
        let backend = self.backend;
        println!("\n== {}", backend.name);
        if let Some(folder) = backend.outside {
            let words = ["--manifest-path".to_owned(), format!("{folder}/Cargo.toml")];
            match test::build(&words, packages) {
                Ok(programs) => self.programs = programs,
                Err(error) => self.fail("tests", &format!("{error:#}")),
            }
            self.report.extend(test::run_all(&self.programs));
        }
        if !backend.servers.is_empty() {
            let mut servers = Servers::default();
            self.bring_up(&mut servers, allow_missing);
            self.catch_up(&servers);
            for (server, how) in servers.ended() {
                println!("{server} ended during the tests: {how}");
                self.fail(server, "ended during the tests");
            }
        }
        let [passed, failed, ..] = self.report.counts();
        if passed + failed == 0 && !self.excused {
            self.fail("tests", "not one test ran");
        }
    }

    fn bring_up(&mut self, servers: &mut Servers, allow_missing: &[String]) {
        for server in self.backend.servers {
            match servers.bring_up(server) {
                Ok(running) => self.servers.push(running.to_string()),
                Err(error) => {
                    println!("{error:#}");
                    let allowed = allow_missing.iter().any(|name| name == server);
                    let missing = if allowed { "missing, as allowed" } else { "MISSING" };
                    self.servers.push(format!("{server} {missing}"));
                    self.excused |= allowed;
                    if !allowed {
                        self.fail(server, &format!("no server: {error}"));
                    }
                }
            }
        }
    }

    /// Of the skipped tests, runs by name those that need only servers that are up.
    ///
    /// Does not use `--include-ignored`, which would also run tests that are ignored for another
    /// reason, such as a clause on an ability that the provider does not offer.
    fn catch_up(&mut self, servers: &Servers) {
        let is_up = |server: &&str| servers.get(server).is_some();
        let environment = servers.environment();
        let mut waiting = BTreeMap::from([(self.backend.package.to_owned(), 0)]);
        for program in &self.programs {
            let Some(suite) = self.report.suite(&program.package, &program.source) else { continue };
            let picked = pick(self.backend, suite, is_up);
            *waiting.entry(program.package.clone()).or_default() += picked.waiting;
            if !picked.names.is_empty() {
                suite.catch_up(&picked.names, program.run_ignored(&picked.names, &environment));
            }
        }
        for (package, _) in waiting.into_iter().filter(|(_, waiting)| *waiting == 0) {
            let why = "not one test needs a real server";
            self.report.add(Suite::failure(&package, "tests/integration.rs", why));
        }
    }

    fn fail(&mut self, target: &str, why: &str) {
        self.report.add(Suite::failure(self.backend.package, target, why));
    }
}

#[derive(Default)]
struct Picked {
    /// Skipped tests whose servers are all up.
    names: Vec<String>,
    /// How many need a server, be it up or not.
    waiting: usize,
}

fn pick(backend: &Backend, suite: &mut Suite, is_up: impl Fn(&&str) -> bool) -> Picked {
    let mut picked = Picked::default();
    for skip in suite.skips().to_vec() {
        match Reason::read(&skip.reason) {
            Ok(None) => {}
            Ok(Some(reason)) if reason.backend.name != backend.name => {
                suite.fail(&format!("{} is a test of {}", skip.name, reason.backend.name));
            }
            Ok(Some(reason)) => {
                picked.waiting += 1;
                if reason.servers.iter().all(&is_up) {
                    picked.names.push(skip.name);
                }
            }
            Err(error) => suite.fail(&format!("{}: {error:#}", skip.name)),
        }
    }
    picked
}

/// The targets of the package that `cargo test` builds for the backend; `None`: nothing.
fn words(backend: &Backend, package: &Package) -> Option<Vec<String>> {
    let is_own = package.name.as_str() == backend.package;
    let mut words = vec!["--package".to_owned(), package.name.to_string()];
    if is_own && backend.servers.is_empty() {
        words.extend(["--tests".to_owned(), "--all-features".to_owned()]);
        return Some(words);
    }
    let tests = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Test));
    let own = tests.filter(|target| backend.has_program(&package.name, &target.name));
    let own: Vec<_> = own.flat_map(|target| ["--test".to_owned(), target.name.clone()]).collect();
    if own.is_empty() {
        return None;
    }
    // A program that is named after the backend gets only the features that this backend needs:
    // all features of its package would compile the other SDKs too.
    if !own.contains(&format!("integration_{}", backend.name)) {
        words.push("--all-features".to_owned());
    } else if package.features.contains_key(backend.name) {
        words.push(format!("--features={}", backend.name));
    }
    words.extend(own);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: &str = "needs a real server: cargo xtask test-integration vault";

    fn picked(skips: &[(&str, &str)], up: &[&str]) -> (Picked, Suite) {
        let mut suite = Suite::skipping(skips);
        let picked = pick(backends::find("vault").unwrap(), &mut suite, |server| up.contains(server));
        (picked, suite)
    }

    #[test]
    fn only_what_needs_a_server_that_is_up_is_run() {
        let with_tls = format!("{NEEDS} (with vault-tls)");
        let skips = [("stores", NEEDS), ("trusts", &with_tls), ("swaps", "not offered")];
        let (picked, suite) = picked(&skips, &["vault"]);
        assert_eq!((picked.names, picked.waiting), (vec!["stores".to_owned()], 2));
        assert_eq!(suite.failures().len(), 0);
    }

    #[test]
    fn a_reason_that_is_not_understood_or_of_another_backend_is_a_failure() {
        for reason in ["needs a real server", "needs a real server: cargo xtask test-integration aws"] {
            let (picked, suite) = picked(&[("a", reason)], &["vault"]);
            assert_eq!((picked.waiting, suite.failures().len()), (0, 1), "{reason}");
        }
    }

    #[test]
    fn a_backend_of_which_no_test_needs_its_server_is_a_failure() {
        let backend = backends::find("vault").unwrap();
        let (programs, report, servers) = (Vec::new(), Report::default(), Vec::new());
        let mut run = BackendRun { backend, programs, report, servers, excused: false };
        run.catch_up(&Servers::default());
        assert!(!run.report.passed());
    }
}
