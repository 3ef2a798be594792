//! The results of test programs, read from their output.
//!
//! The output gives names and numbers only. The exit code also decides whether a run passed, and
//! output that cannot be parsed counts as a failure.

use std::fmt;
use std::io::Write;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::{cargo, table};

/// A program that runs longer hangs. The slowest takes a minute on a quiet machine.
const TIME_LIMIT: Duration = Duration::from_secs(30 * 60);
/// The reason that the conformance kit gives for a clause on an ability that the provider lacks.
const NOT_OFFERED: &str = "not offered";

/// All test programs of one or several runs.
#[derive(Default)]
pub(crate) struct Report {
    suites: Vec<Suite>,
}

/// One test program, or the doc tests of one crate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suite {
    pub(crate) crate_name: String,
    /// The source file of the program.
    pub(crate) target: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    /// The names of failed tests, and other failures.
    failures: Vec<String>,
    skips: Vec<Skip>,
    took: Duration,
}

/// A test that did not run, and why. The reason is empty where the test has none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Skip {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Report {
    pub(crate) fn of(suite: Suite) -> Self {
        Self { suites: vec![suite] }
    }

    pub(crate) fn add(&mut self, suite: Suite) {
        self.suites.push(suite);
    }

    pub(crate) fn extend(&mut self, other: Report) {
        self.suites.extend(other.suites);
    }

    pub(crate) fn suites(&self) -> &[Suite] {
        &self.suites
    }

    pub(crate) fn suite(&mut self, crate_name: &str, target: &str) -> Option<&mut Suite> {
        self.suites.iter_mut().find(|suite| suite.crate_name == crate_name && suite.target == target)
    }

    /// Removes the suites that match, and returns them.
    pub(crate) fn take(&mut self, matches: impl Fn(&Suite) -> bool) -> Report {
        let (taken, rest) = std::mem::take(&mut self.suites).into_iter().partition(matches);
        self.suites = rest;
        Report { suites: taken }
    }

    pub(crate) fn passed(&self) -> bool {
        self.sum(|suite| suite.failed) == 0
    }

    /// Passed, failed, about what the provider does not offer, and skipped for another reason.
    pub(crate) fn counts(&self) -> [usize; 4] {
        let not_offered = |suite: &Suite| suite.skips.iter().filter(|skip| skip.is_not_offered()).count();
        [
            self.sum(|suite| suite.passed),
            self.sum(|suite| suite.failed),
            self.sum(not_offered),
            self.sum(|suite| suite.skipped.saturating_sub(not_offered(suite))),
        ]
    }

    /// The last line of a summary, which people and programs read alone.
    pub(crate) fn totals(&self) -> String {
        let [passed, failed, not_offered, skipped] = self.counts();
        format!("{passed} passed, {failed} failed, {} skipped", not_offered + skipped)
    }

    /// Ends a chore: prints the summary, and returns its exit code. A report without a single test
    /// is a failure.
    pub(crate) fn conclude(mut self) -> ExitCode {
        self.require_a_test();
        println!("\n{}\n{}", self.details(), self.totals());
        if self.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    pub(crate) fn require_a_test(&mut self) {
        if self.suites.iter().all(|suite| suite.passed + suite.failed == 0) {
            self.add(Suite::failure("(all)", "tests", "not one test ran"));
        }
    }

    /// A table of all suites, then what was skipped, and at the end, where a cut log still shows
    /// it, what failed.
    pub(crate) fn details(&self) -> String {
        let row = |suite: &Suite| {
            let numbers = [suite.passed, suite.failed, suite.skipped].map(|number| number.to_string());
            let [passed, failed, skipped] = numbers;
            let seconds = format!("{:.1}", suite.took.as_secs_f64());
            [suite.crate_name.clone(), suite.target.clone(), passed, failed, skipped, seconds]
        };
        let mut rows: Vec<_> = self.suites.iter().map(row).collect();
        rows.sort();
        let header = ["crate", "tests", "passed", "failed", "skipped", "seconds"];
        let mut text = table::render(header, &[2, 3, 4, 5], &rows);
        text += &self.listed("not offered", |suite| {
            let number = suite.skips.iter().filter(|skip| skip.is_not_offered()).count();
            (number > 0).then(|| format!("{number} tests")).into_iter().collect()
        });
        text += &self.listed("skipped", |suite| suite.untried().map(Skip::to_string).collect());
        text += &self.listed("failed", |suite| suite.failures.clone());
        text
    }

    fn listed(&self, title: &str, lines: impl Fn(&Suite) -> Vec<String>) -> String {
        let mut text = String::new();
        for suite in &self.suites {
            for line in lines(suite) {
                text += &format!("  {} {}: {line}\n", suite.crate_name, suite.target);
            }
        }
        if text.is_empty() { text } else { format!("\n{title}:\n{text}") }
    }

    fn sum(&self, number: impl Fn(&Suite) -> usize) -> usize {
        self.suites.iter().map(number).sum()
    }
}

impl Suite {
    /// Runs a test program or a `cargo test`. Prints a line for it, and all of its output if it
    /// fails.
    pub(crate) fn run(crate_name: &str, target: &str, command: &Command) -> Self {
        let (begin, mut output) = (Instant::now(), String::new());
        let ended = cargo::each_line_unseen(command, TIME_LIMIT, |line| output += &format!("{line}\n"));
        let mut suite = Self::read(&output, matches!(ended, Ok(true)));
        if let Err(error) = ended {
            suite.fail(&format!("{error:#}"));
        }
        [suite.crate_name, suite.target] = [crate_name, target].map(str::to_owned);
        suite.took = begin.elapsed();
        let shown = if suite.failed > 0 { output.as_str() } else { "" };
        let mut stdout = std::io::stdout().lock();
        // Where stdout is closed, the exit code still reports the failure.
        let _ = writeln!(stdout, "{shown}{suite}").and_then(|()| stdout.flush());
        suite
    }

    /// Reads a whole output. Doc tests have several summaries: merged ones, and each that runs
    /// alone.
    pub(crate) fn read(output: &str, success: bool) -> Self {
        let (mut suite, mut summarized) = (Self::default(), false);
        for line in output.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                suite.passed += count(result, " passed");
                suite.failed += count(result, " failed");
                suite.skipped += count(result, " ignored");
                summarized = true;
            } else if let Some((name, verdict)) =
                line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
            {
                match verdict.split_once(", ").unwrap_or((verdict, "")) {
                    ("FAILED", _) => suite.failures.push(name.to_owned()),
                    ("ignored", reason) => {
                        suite.skips.push(Skip { name: name.to_owned(), reason: reason.to_owned() });
                    }
                    _ => {}
                }
            }
        }
        suite.account_for_all(summarized, success);
        suite
    }

    /// Adds the counted tests whose lines could not be parsed, and a failure that no line shows.
    fn account_for_all(&mut self, summarized: bool, success: bool) {
        if let Some(more) = self.failed.checked_sub(self.failures.len()).filter(|more| *more > 0) {
            self.failures.push(format!("{more} more, whose names were not understood"));
        }
        if let Some(more) = self.skipped.checked_sub(self.skips.len()).filter(|more| *more > 0) {
            let name = format!("{more} more, whose names were not understood");
            self.skips.push(Skip { name, reason: String::new() });
        }
        if !summarized {
            self.fail("ended without a summary");
        } else if !success && self.failed == 0 {
            self.fail("failed, but no test did: see its output");
        }
    }

    /// A failure that no test could report.
    pub(crate) fn failure(crate_name: &str, target: &str, why: &str) -> Self {
        let [crate_name, target] = [crate_name, target].map(str::to_owned);
        let mut suite = Self { crate_name, target, ..Self::default() };
        suite.fail(why);
        suite
    }

    pub(crate) fn fail(&mut self, why: &str) {
        self.failed += 1;
        self.failures.push(why.to_owned());
    }

    /// Adds a later run of tests that were skipped here. A test that was asked for and did not run
    /// is a failure.
    pub(crate) fn catch_up(&mut self, names: &[String], mut later: Suite) {
        if let Some(lost) = names.len().checked_sub(later.passed + later.failed).filter(|lost| *lost > 0) {
            later.fail(&format!("{lost} tests did not run, but should have"));
        }
        self.skips.retain(|skip| !names.contains(&skip.name));
        self.skipped = self.skipped.saturating_sub(names.len());
        self.passed += later.passed;
        self.failed += later.failed;
        self.failures.append(&mut later.failures);
        self.took += later.took;
    }

    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The tests that did not run.
    pub(crate) fn skips(&self) -> &[Skip] {
        &self.skips
    }

    #[cfg(test)]
    pub(crate) fn skipping(skips: &[(&str, &str)]) -> Self {
        let skip = |(name, reason): &(&str, &str)| Skip { name: (*name).into(), reason: (*reason).into() };
        Self { skips: skips.iter().map(skip).collect(), skipped: skips.len(), ..Self::default() }
    }

    /// The tests that were skipped for another reason than a missing ability of the provider.
    pub(crate) fn untried(&self) -> impl Iterator<Item = &Skip> {
        self.skips.iter().filter(|skip| !skip.is_not_offered())
    }
}

impl Skip {
    fn is_not_offered(&self) -> bool {
        self.reason == NOT_OFFERED
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { crate_name, target, passed, failed, skipped, .. } = self;
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "{crate_name} {target}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.1} s"
        )
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.reason.is_empty() { "no reason given" } else { &self.reason };
        write!(f, "{} ({reason})", self.name)
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(result: &str, word: &str) -> usize {
    let before = result.split_once(word).map_or("", |(before, _)| before);
    before.rsplit([' ', ';']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
running 3 tests
test id::tests::parses ... ok
test id::tests::slow ... ignored, needs a network, see docs/testing.md
test swaps ... ignored, not offered

test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 1 test
test crates/cred-core/src/id.rs - id::ScopeId (line 2) - compile fail ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    #[test]
    fn tests_are_counted_and_a_skipped_one_is_named_with_its_reason() {
        let report = Report::of(Suite::read(GOOD, true));
        assert!(report.passed());
        assert_eq!(report.totals(), "2 passed, 0 failed, 2 skipped");
        assert_eq!(report.counts(), [2, 0, 1, 1]);
        let details = report.details();
        assert!(details.contains("slow (needs a network, see docs/testing.md)"), "{details}");
        assert!(!details.contains("swaps"), "{details}");
    }

    #[test]
    fn a_failed_test_is_named() {
        let output = "test a::b ... FAILED\ntest result: FAILED. 0 passed; 1 failed; 0 ignored;";
        let report = Report::of(Suite::read(output, false));
        assert_eq!(report.totals(), "0 passed, 1 failed, 0 skipped");
        assert!(report.details().ends_with("failed:\n   : a::b\n"), "{}", report.details());
    }

    #[test]
    fn output_that_cannot_be_parsed_is_a_failure() {
        for (output, success) in [
            ("error: could not compile", false),
            ("running 1 test\ntest a ... ok\n", true),
            (GOOD, false),
            ("test result: FAILED. 0 passed; 1 failed; 0 ignored;", false),
        ] {
            let suite = Suite::read(output, success);
            assert_eq!((suite.failed, suite.failures.len()), (1, 1), "{output}");
        }
        assert_eq!(Suite::read("test result: ok. 1 passed; 0 failed; 1 ignored;", true).skips.len(), 1);
    }

    #[test]
    fn a_report_without_a_test_fails() {
        assert_eq!(Report::default().conclude(), ExitCode::FAILURE);
        assert_eq!(Report::of(Suite::read(GOOD, true)).conclude(), ExitCode::SUCCESS);
    }

    #[test]
    fn a_later_run_replaces_skips_and_may_not_lose_a_test() {
        let names = ["id::tests::slow".to_owned()];
        let mut suite = Suite::read(GOOD, true);
        suite.catch_up(&names, Suite::read("test result: ok. 1 passed; 0 failed; 0 ignored;", true));
        assert_eq!(Report::of(suite).counts(), [3, 0, 1, 0]);
        let mut suite = Suite::read(GOOD, true);
        suite.catch_up(&names, Suite::read("test result: ok. 0 passed; 0 failed; 0 ignored;", true));
        assert_eq!(Report::of(suite).counts(), [2, 1, 1, 0]);
    }
}
