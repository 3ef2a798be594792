//! The integration tests of one backend, in two runs.

use std::collections::BTreeMap;

use super::Reason;
use super::backends::Backend;
use crate::test::{Report, Skip};

/// First what needs no server, which also tells the reasons of the rest; then, of the rest, what needs only
/// servers that are up, by name.
///
/// Not `--include-ignored` on everything: what is ignored for another reason, such as a clause on an ability
/// that the provider does not offer, has to stay so.
///
/// `programs` are the test programs of `package` by their source file, `cargo_test` runs one `cargo` with these words.
pub(super) fn run(
    backend: &Backend,
    package: &str,
    programs: &BTreeMap<String, String>,
    is_up: impl Fn(&str) -> bool,
    mut cargo_test: impl FnMut(&[String], &mut Report),
) -> Report {
    let mut report = Report::default();
    if programs.is_empty() {
        report.failure(package, "tests/integration.rs", "there is no such test program");
        return report;
    }
    // Of another crate, what this backend needs: all its features would compile the SDKs of all others once more.
    let features = match package == backend.package {
        true => "--all-features".to_owned(),
        false => format!("--features={}", backend.name),
    };
    let mut words = vec!["test".to_owned(), features, "--package".to_owned(), package.to_owned()];
    if let Some(folder) = backend.outside {
        words.extend(["--manifest-path".to_owned(), format!("{folder}/Cargo.toml")]);
    }
    let mut args = words.clone();
    args.extend(programs.values().flat_map(|name| ["--test".to_owned(), name.clone()]));
    args.push("--no-fail-fast".to_owned());
    cargo_test(&args, &mut report);

    let mut needed = 0;
    for (target, program) in programs {
        let skips: Vec<Skip> = report.skips(target).cloned().collect();
        let picked = picked(backend, package, target, &skips, &is_up, &mut report);
        needed += picked.needed;
        if picked.names.is_empty() {
            continue;
        }
        let mut args = words.clone();
        args.extend(["--test", program, "--", "--exact", "--include-ignored"].map(str::to_owned));
        args.extend(picked.names.iter().map(|name| (*name).to_owned()));
        let mut later = Report::default();
        cargo_test(&args, &mut later);
        let ran = later.counts();
        let lost = picked.names.len().saturating_sub(ran.passed + ran.failed);
        report.caught_up(target, &picked.names, later);
        if lost > 0 {
            report.failure(package, target, &format!("{lost} tests did not run though asked to"));
        }
    }
    if needed == 0 {
        report.failure(package, "tests/integration.rs", "not one test needs a real server");
    }
    report
}

#[derive(Default)]
struct Picked<'a> {
    /// Those whose servers are up.
    names: Vec<&'a str>,
    /// How many need a server, be it up or not.
    needed: usize,
}

fn picked<'a>(
    backend: &Backend,
    package: &str,
    target: &str,
    skips: &'a [Skip],
    is_up: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Picked<'a> {
    let mut picked = Picked::default();
    for skip in skips {
        match Reason::read(&skip.reason) {
            Ok(None) => {}
            Ok(Some(reason)) if reason.backend.name != backend.name => {
                let why = format!("{} is a test of {}", skip.name, reason.backend.name);
                report.failure(package, target, &why);
            }
            Ok(Some(reason)) => {
                picked.needed += 1;
                if reason.servers.iter().all(|server| is_up(server)) {
                    picked.names.push(&skip.name);
                }
            }
            Err(error) => report.failure(package, target, &format!("{}: {error:#}", skip.name)),
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integration::backends;
    use crate::test::Counts;

    const NEEDS: &str = "needs a real server: cargo xtask test-integration vault";

    /// Answers the first run with `first` and the second with `second`; gives the words of both.
    fn run_with(first: &[(&str, &str)], second: &[(&str, &str)], up: &[&str]) -> (Report, Vec<Vec<String>>) {
        let backend = backends::find("vault").unwrap();
        let programs = BTreeMap::from([("tests/integration.rs".to_owned(), "integration".to_owned())]);
        let mut calls = Vec::new();
        let report = run(
            backend,
            backend.package,
            &programs,
            |server| up.contains(&server),
            |args, report| {
                let lines = if calls.is_empty() { first } else { second };
                calls.push(args.to_vec());
                let mut run = report.start("tests");
                let crate_of = |_: &str| backend.package.to_owned();
                let mut counts = [0; 3];
                run.line("Running tests/integration.rs (deps/integration-1)", crate_of);
                for (name, verdict) in lines {
                    run.line(&format!("test {name} ... {verdict}"), crate_of);
                    counts[if *verdict == "ok" { 0 } else { 1 + usize::from(*verdict != "FAILED") }] += 1;
                }
                let [passed, failed, ignored] = counts;
                let result = format!("test result: x. {passed} passed; {failed} failed; {ignored} ignored;");
                run.line(&result, crate_of);
                let _ = run.end(failed == 0);
            },
        );
        (report, calls)
    }

    #[test]
    fn only_what_needs_a_server_that_is_up_is_caught_up_with() {
        let ignored = format!("ignored, {NEEDS}");
        let faults = format!("ignored, {NEEDS} (with vault-tls)");
        let first = [
            ("free", "ok"),
            ("stores", ignored.as_str()),
            ("survives_faults", faults.as_str()),
            ("swaps", "ignored, not offered"),
        ];
        let (report, calls) = run_with(&first, &[("stores", "ok")], &["vault"]);
        assert_eq!(report.counts(), Counts { passed: 2, failed: 0, not_offered: 1, skipped: 1 });
        let tail = ["--test", "integration", "--", "--exact", "--include-ignored", "stores"];
        assert!(calls[1].ends_with(&tail.map(str::to_owned)), "{:?}", calls[1]);
        assert!(report.passed());
    }

    #[test]
    fn a_test_that_fails_against_the_server_is_red() {
        let ignored = format!("ignored, {NEEDS}");
        let (report, _) = run_with(&[("stores", &ignored)], &[("stores", "FAILED")], &["vault"]);
        assert!(!report.passed() && report.details().contains("tests/integration.rs: stores"));
    }

    #[test]
    fn a_test_that_was_asked_for_and_did_not_run_is_red() {
        let ignored = format!("ignored, {NEEDS}");
        let (report, _) = run_with(&[("a", &ignored), ("b", &ignored)], &[("a", "ok")], &["vault"]);
        assert!(!report.passed() && report.details().contains("1 tests did not run"), "{}", report.details());
    }

    #[test]
    fn a_suite_without_a_test_for_the_server_is_red() {
        let (report, calls) = run_with(&[("free", "ok")], &[], &["vault"]);
        assert_eq!(calls.len(), 1);
        assert!(!report.passed() && report.details().contains("not one test needs a real server"));
    }

    #[test]
    fn a_reason_that_is_not_understood_or_of_another_backend_is_red() {
        for words in ["needs a real server", "needs a real server: cargo xtask test-integration aws"] {
            let ignored = format!("ignored, {words}");
            let (report, _) = run_with(&[("a", &ignored)], &[], &["vault"]);
            assert!(!report.passed(), "{words}");
        }
    }
}
