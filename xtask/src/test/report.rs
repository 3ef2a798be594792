//! What ran, read from the output of `cargo test`.
//!
//! The output is only read to tell names and numbers. Whether the run was good is decided by exit codes as
//! well, and everything that is not understood counts as a failure: a test that nobody saw pass did not pass.

use std::fmt;

use anyhow::{Result, bail};

use crate::table;

/// All test programs of one or several runs.
#[derive(Default)]
pub(crate) struct Report {
    suites: Vec<Suite>,
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Ignored since the provider does not have what they are about; nothing was left untried.
    pub(crate) not_offered: usize,
    /// Ignored for another reason.
    pub(crate) skipped: usize,
}

/// One test program, or the doc tests of one crate.
#[derive(Default)]
struct Suite {
    crate_name: String,
    target: String,
    passed: usize,
    failed: usize,
    skipped: usize,
    failures: Vec<Failure>,
    skips: Vec<Skip>,
    summarized: bool,
    /// The failed test whose output the lines are at the moment.
    telling: Option<String>,
}

/// A failed test, and the first lines of what it said: a log that is cut short still tells what to mend.
#[derive(Clone, Debug, Default)]
struct Failure {
    name: String,
    said: Vec<String>,
}

const SAID_AT_MOST: usize = 8;

/// A test that did not run, and why; an empty reason is one that was not given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Skip {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// One `cargo test` that is under way; feeds its suites into the report.
pub(crate) struct Run<'a> {
    report: &'a mut Report,
    first: usize,
    what: String,
}

impl Report {
    pub(crate) fn start(&mut self, what: &str) -> Run<'_> {
        Run { first: self.suites.len(), report: self, what: what.to_owned() }
    }

    /// The tests could not even be started; this counts as one failure, so that the totals are never green.
    pub(crate) fn never_ran(&mut self, what: &str) {
        self.failure("(all)", what, "nothing ran: the build failed");
    }

    /// To be called once after the last run: a report without a single test is a failure.
    pub(crate) fn conclude(&mut self) {
        if self.suites.iter().all(|suite| suite.passed + suite.failed == 0) {
            self.failure("(all)", "tests", "not one test ran");
        }
    }

    pub(crate) fn passed(&self) -> bool {
        self.sum(|suite| suite.failed) == 0
    }

    /// The last line of a summary: programs and people read it alone.
    pub(crate) fn totals(&self) -> String {
        let [passed, failed, skipped] =
            [self.sum(|suite| suite.passed), self.sum(|suite| suite.failed), self.sum(|suite| suite.skipped)];
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// A table of all suites, then what was skipped, and last, where a cut log still shows it, what failed.
    pub(crate) fn details(&self) -> String {
        let row = |suite: &Suite| {
            let numbers = [suite.passed, suite.failed, suite.skipped].map(|number| number.to_string());
            let [passed, failed, skipped] = numbers;
            [suite.crate_name.clone(), suite.target.clone(), passed, failed, skipped]
        };
        let rows: Vec<_> = self.suites.iter().map(row).collect();
        let mut text = table::render(["crate", "tests", "passed", "failed", "skipped"], &[2, 3, 4], &rows);
        text += &self.named("not offered", |suite| {
            let names = suite.skips.iter().filter(|skip| skip.is_not_offered()).count();
            (names > 0).then(|| format!("{names} tests")).into_iter().collect()
        });
        text += &self.named("skipped", |suite| {
            suite.skips.iter().filter(|skip| !skip.is_not_offered()).map(Skip::to_string).collect()
        });
        text += &self.named("failed", |suite| suite.failures.iter().map(Failure::to_string).collect());
        text
    }

    /// Each failed test in one line, for the end of a log of which only the end is kept.
    pub(crate) fn failed(&self) -> String {
        self.named("failed", |suite| suite.failures.iter().map(|failure| failure.name.clone()).collect())
    }

    pub(crate) fn counts(&self) -> Counts {
        let not_offered = |suite: &Suite| suite.skips.iter().filter(|skip| skip.is_not_offered()).count();
        Counts {
            passed: self.sum(|suite| suite.passed),
            failed: self.sum(|suite| suite.failed),
            not_offered: self.sum(not_offered),
            skipped: self.sum(|suite| suite.skipped - not_offered(suite).min(suite.skipped)),
        }
    }

    /// The tests of one program that did not run.
    pub(crate) fn skips(&self, crate_name: &str, target: &str) -> impl Iterator<Item = &Skip> {
        self.suites.iter().filter(move |suite| suite.is(crate_name, target)).flat_map(|suite| &suite.skips)
    }

    /// What was left untried though there is something to try, each with its source file.
    pub(crate) fn untried(&self) -> impl Iterator<Item = (&str, &Skip)> {
        let skips =
            self.suites.iter().flat_map(|suite| suite.skips.iter().map(|skip| (&*suite.target, skip)));
        skips.filter(|(_, skip)| !skip.is_not_offered())
    }

    /// Takes over a later run of tests of one program that are skipped here: they are skipped no longer. Those that were asked for
    /// and did not run are a failure.
    pub(crate) fn caught_up(&mut self, crate_name: &str, target: &str, names: &[&str], mut later: Report) {
        let ran = later.sum(|suite| suite.passed + suite.failed);
        if let Some(lost) = names.len().checked_sub(ran).filter(|lost| *lost > 0) {
            later.failure(crate_name, target, &format!("{lost} tests did not run though asked to"));
        }
        let Some(suite) = self.suites.iter_mut().find(|suite| suite.is(crate_name, target)) else {
            self.suites.extend(later.suites);
            return;
        };
        suite.skips.retain(|skip| !names.contains(&skip.name.as_str()));
        suite.skipped = suite.skipped.saturating_sub(names.len());
        suite.passed += later.sum(|suite| suite.passed);
        suite.failed += later.sum(|suite| suite.failed);
        suite.failures.extend(later.suites.iter_mut().flat_map(|suite| suite.failures.drain(..)));
    }

    /// Takes the programs out for which `belongs` says so, by crate and source file.
    pub(crate) fn split_off(&mut self, belongs: impl Fn(&str, &str) -> bool) -> Report {
        let (suites, rest) = std::mem::take(&mut self.suites)
            .into_iter()
            .partition(|suite| belongs(&suite.crate_name, &suite.target));
        self.suites = rest;
        Report { suites }
    }

    /// Takes over the suites of another report. A test program that is in both counts once, as it ran there,
    /// unless tests of it failed here: what failed once stays.
    pub(crate) fn absorb(&mut self, other: Report) {
        let again = |suite: &Suite| {
            other
                .suites
                .iter()
                .any(|new| (&new.crate_name, &new.target) == (&suite.crate_name, &suite.target))
        };
        self.suites.retain(|suite| suite.failed > 0 || !again(suite));
        self.suites.extend(other.suites);
    }

    fn named(&self, what: &str, names: impl Fn(&Suite) -> Vec<String>) -> String {
        let mut text = String::new();
        for suite in &self.suites {
            for name in names(suite) {
                text += &format!("  {} {}: {name}\n", suite.crate_name, suite.target);
            }
        }
        if text.is_empty() { text } else { format!("\n{what}:\n{text}") }
    }

    /// A failure that no test could report.
    pub(crate) fn failure(&mut self, crate_name: &str, target: &str, why: &str) {
        self.suites.push(Suite {
            crate_name: crate_name.to_owned(),
            target: target.to_owned(),
            failed: 1,
            failures: vec![Failure::named(why)],
            summarized: true,
            ..Suite::default()
        });
    }

    fn sum(&self, number: impl Fn(&Suite) -> usize) -> usize {
        self.suites.iter().map(number).sum()
    }
}

impl Run<'_> {
    /// Reads one line of output. `crate_of` names the crate of a test program's file name or of a library.
    pub(crate) fn line(&mut self, line: &str, crate_of: impl Fn(&str) -> String) {
        if let Some((target, program)) = running(line) {
            self.suite(crate_of(program), target);
        } else if let Some(library) = line.trim_start().strip_prefix("Doc-tests ") {
            self.suite(crate_of(library), "doc tests");
        } else if let Some(suite) = self.report.suites.get_mut(self.first..).and_then(<[Suite]>::last_mut) {
            suite.line(line);
        }
    }

    /// Judges the run by its exit code, also where the output said nothing of a failure.
    pub(crate) fn end(self, success: bool) -> Result<()> {
        let suites = self.report.suites.get_mut(self.first..).unwrap_or_default();
        for suite in suites.iter_mut().filter(|suite| !suite.summarized) {
            suite.failed += 1;
            suite.failures.push(Failure::named("ended without a summary"));
        }
        for suite in suites.iter_mut() {
            // Counted, so they exist, though their lines were not understood.
            suite.name_the_nameless();
        }
        let failed: usize = suites.iter().map(|suite| suite.failed).sum();
        if !success && failed == 0 {
            self.report.failure(
                "(all)",
                &self.what,
                "`cargo test` failed though no test did: see its output",
            );
        }
        match (success, failed) {
            (true, 0) => Ok(()),
            (_, 0) => bail!("`cargo test` failed though no test did"),
            (_, failed) => bail!("{failed} failed"),
        }
    }

    /// Says whose lines come now, where no line of `cargo test` does.
    pub(crate) fn program(&mut self, crate_name: &str, target: &str) {
        self.suite(crate_name.to_owned(), target);
    }

    fn suite(&mut self, crate_name: String, target: &str) {
        self.report.suites.push(Suite { crate_name, target: target.to_owned(), ..Suite::default() });
    }
}

impl Suite {
    fn is(&self, crate_name: &str, target: &str) -> bool {
        self.crate_name == crate_name && self.target == target
    }

    fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            // Doc tests may give several: the merged ones and those that stand alone.
            self.passed += count(result, " passed");
            self.failed += count(result, " failed");
            self.skipped += count(result, " ignored");
            self.summarized = true;
            self.telling = None;
        } else if let Some(name) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.telling = Some(name.to_owned());
        } else if line == "failures:" {
            self.telling = None;
        } else if let Some(name) = &self.telling {
            if line == "stack backtrace:" {
                // Hundreds of lines, which the log has above.
                self.telling = None;
            } else if let Some(failure) = self.failures.iter_mut().find(|failure| &failure.name == name)
                && failure.said.len() < SAID_AT_MOST
                && !line.is_empty()
            {
                failure.said.push(line.to_owned());
            }
        } else if let Some((name, verdict)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            match verdict.split_once(", ").unwrap_or((verdict, "")) {
                ("FAILED", _) => self.failures.push(Failure::named(name)),
                ("ignored", reason) => {
                    self.skips.push(Skip { name: name.to_owned(), reason: reason.to_owned() });
                }
                _ => {}
            }
        }
    }

    fn name_the_nameless(&mut self) {
        let nameless = |number: usize, names: usize| {
            let unnamed = number.saturating_sub(names);
            (unnamed > 0).then(|| format!("{unnamed} more, whose names were not understood"))
        };
        self.failures.extend(nameless(self.failed, self.failures.len()).map(|name| Failure::named(&name)));
        let name = nameless(self.skipped, self.skips.len());
        self.skips.extend(name.map(|name| Skip { name, reason: String::new() }));
    }
}

impl Skip {
    /// So the conformance kit ignores a clause on an ability that the provider does not have.
    fn is_not_offered(&self) -> bool {
        self.reason == "not offered"
    }
}

impl Failure {
    fn named(name: &str) -> Self {
        Failure { name: name.to_owned(), said: Vec::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.said.iter().try_for_each(|line| write!(f, "\n      {line}"))
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.reason.is_empty() { "no reason given" } else { &self.reason };
        write!(f, "{} ({reason})", self.name)
    }
}

/// `Running unittests src/lib.rs (target/debug/deps/cred_core-0123)` -> the source and the program's file name.
fn running(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix("Running ")?;
    let (source, program) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    let source = source.strip_prefix("unittests ").unwrap_or(source);
    Some((source, program.rsplit(['/', '\\']).next().unwrap_or(program)))
}

/// The number before `word` in `ok. 3 passed; 0 failed; 1 ignored; ...`.
fn count(result: &str, word: &str) -> usize {
    let before = result.split_once(word).map_or("", |(before, _)| before);
    before.rsplit([' ', ';']).next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
