//! The integration tests of one backend that wait for its servers.

use std::collections::BTreeMap;

use super::Reason;
use super::backends::Backend;
use crate::test::{Program, Report, Skip};

/// What ran without servers is in `report`, with the reasons of the rest; of the rest, runs what needs only servers that are up,
/// by name.
///
/// Not `--include-ignored` on everything: what is ignored for another reason, such as a clause on an ability
/// that the provider does not offer, has to stay so.
pub(super) fn catch_up(
    backend: &Backend,
    programs: &[Program],
    is_up: impl Fn(&str) -> bool,
    report: &mut Report,
    mut run: impl FnMut(&Program, &[&str], &mut Report),
) {
    if !programs.iter().any(|program| program.package == backend.package) {
        report.failure(backend.package, "tests/integration.rs", "there is no such test program");
    }
    let mut needed: BTreeMap<&str, usize> = BTreeMap::new();
    for program in programs {
        let skips: Vec<Skip> = report.skips(&program.package, &program.source).cloned().collect();
        let picked = picked(backend, program, &skips, &is_up, report);
        *needed.entry(&program.package).or_default() += picked.needed;
        if !picked.names.is_empty() {
            run(program, &picked.names, report);
        }
    }
    for (package, _) in needed.into_iter().filter(|(_, needed)| *needed == 0) {
        report.failure(package, "tests/integration.rs", "not one test needs a real server");
    }
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
    program: &Program,
    skips: &'a [Skip],
    is_up: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Picked<'a> {
    let mut picked = Picked::default();
    let mut wrong = |why: &str| report.failure(&program.package, &program.source, why);
    for skip in skips {
        match Reason::read(&skip.reason) {
            Ok(None) => {}
            Ok(Some(reason)) if reason.backend.name != backend.name => {
                wrong(&format!("{} is a test of {}", skip.name, reason.backend.name));
            }
            Ok(Some(reason)) => {
                picked.needed += 1;
                if reason.servers.iter().all(|server| is_up(server)) {
                    picked.names.push(&skip.name);
                }
            }
            Err(error) => wrong(&format!("{}: {error:#}", skip.name)),
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
    const PACKAGE: &str = "cred-store-vault";
    const SOURCE: &str = "tests/integration.rs";

    fn feed(report: &mut Report, lines: &[(&str, &str)]) {
        let mut run = report.start("tests");
        run.program(PACKAGE, SOURCE);
        let mut counts = [0; 3];
        for (name, verdict) in lines {
            run.line(&format!("test {name} ... {verdict}"), str::to_owned);
            counts[if *verdict == "ok" { 0 } else { 1 + usize::from(*verdict != "FAILED") }] += 1;
        }
        let [passed, failed, ignored] = counts;
        let result = format!("test result: x. {passed} passed; {failed} failed; {ignored} ignored;");
        run.line(&result, str::to_owned);
        let _ = run.end(failed == 0);
    }

    /// Without servers it went like `first`, with those that are up like `second`; gives the names that were asked for as well.
    fn run_with(first: &[(&str, &str)], second: &[(&str, &str)], up: &[&str]) -> (Report, Vec<Vec<String>>) {
        let backend = backends::find("vault").unwrap();
        let programs = [Program::sample(PACKAGE, "integration", SOURCE)];
        let (mut report, mut calls) = (Report::default(), Vec::new());
        feed(&mut report, first);
        catch_up(
            backend,
            &programs,
            |server| up.contains(&server),
            &mut report,
            |program, names, report| {
                calls.push(names.iter().map(|name| (*name).to_owned()).collect());
                let mut later = Report::default();
                feed(&mut later, second);
                report.caught_up(&program.package, &program.source, names, later);
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
        assert_eq!(calls, [["stores"]]);
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
        assert!(calls.is_empty());
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
