//! The gate: every check in one command, so that a change that passes locally passes there too.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::test::{self, Report, Suite};
use crate::{checks, deps, integration, long, quickstart, site, table, tidy};

/// Runs all steps, also after a failed one, so that one run shows every failure.
pub(crate) fn run(allow_missing: &[String]) -> Result<ExitCode> {
    let (tools, servers): (Vec<String>, _) = allow_missing
        .iter()
        .cloned()
        .partition(|name| [long::STRACE, checks::ADVISORY_DB].contains(&&**name));
    let may_miss = |tool: &str| tools.iter().any(|name| name == tool);
    let (mut gate, mut report, mut programs) = (Gate::default(), Report::default(), Vec::new());

    gate.step("fmt", checks::format);
    gate.step("tidy", tidy::run);
    gate.step("deps", deps::run);
    gate.step("clippy", checks::clippy);
    gate.step("clippy outside", checks::clippy_outside);
    gate.step("build tests", || {
        programs = test::programs(&[]).inspect_err(|error| {
            report.add(Suite::failure("(all)", "tests", &format!("{error:#}")));
        })?;
        Ok(())
    });
    gate.step("build example", || {
        programs.extend(test::example_programs().inspect_err(|error| {
            report.add(Suite::failure("service", "tests", &format!("{error:#}")));
        })?);
        Ok(())
    });
    gate.step("tests", || add(&mut report, test::run_all(&programs)));
    gate.step("doc tests", || add(&mut report, test::doc_tests(&[])?));
    gate.step("strace", || long::strace_catch_up(may_miss(long::STRACE), &programs, &mut report));
    gate.step("integration", || integration::catch_up(&servers, &programs, &mut report));
    gate.step("docs", checks::docs);
    gate.step("site", site::run);
    gate.step("quickstart", quickstart::of_built_program);
    gate.step("deny", checks::deny);
    gate.optional_step("advisories", || match checks::advisories(false)? {
        true => Ok(None),
        false if may_miss(checks::ADVISORY_DB) => Ok(Some("no advisory database, as allowed")),
        false => bail!("the advisory database cannot be read; `--allow-missing advisory-db` skips this step"),
    });
    gate.step("package", || checks::package(false));

    report.require_a_test();
    println!("\n{}\n{}", gate.summary(), report.details());
    let ok = gate.passed() && report.passed();
    if !ok {
        println!("ci failed: {}\n", gate.failed_steps().join(", "));
    }
    println!("{}", report.totals());
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn add(report: &mut Report, ran: Report) -> Result<()> {
    let passed = ran.passed();
    report.extend(ran);
    if passed { Ok(()) } else { bail!("see the tables") }
}

#[derive(Default)]
struct Gate {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    result: String,
    passed: bool,
    took: Duration,
}

impl Gate {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        self.optional_step(name, || work().map(|()| None));
    }

    /// A step that may be skipped, and then returns the reason.
    fn optional_step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Option<&'static str>>) {
        println!("\n== {name}");
        let start = Instant::now();
        let result = work();
        let passed = result.is_ok();
        let result = match result {
            Ok(None) => "ok".to_owned(),
            Ok(Some(reason)) => format!("SKIPPED: {reason}"),
            Err(error) => {
                println!("{name} failed: {error:#}");
                "FAILED".to_owned()
            }
        };
        let took = start.elapsed();
        println!("== {name}: {result}, {:.1} s", took.as_secs_f64());
        self.steps.push(Step { name, result, passed, took });
    }

    fn passed(&self) -> bool {
        self.failed_steps().is_empty()
    }

    fn failed_steps(&self) -> Vec<&'static str> {
        self.steps.iter().filter(|step| !step.passed).map(|step| step.name).collect()
    }

    fn summary(&self) -> String {
        let row = |name: &str, result: &str, took: Duration| {
            [name.to_owned(), result.to_owned(), format!("{:.1}", took.as_secs_f64())]
        };
        let mut rows: Vec<_> =
            self.steps.iter().map(|step| row(step.name, &step.result, step.took)).collect();
        rows.push(row("all", "", self.steps.iter().map(|step| step.took).sum()));
        table::render(["step", "result", "seconds"], &[2], &rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_gate_and_stops_no_later_one_and_a_skipped_one_shows_why() {
        let mut gate = Gate::default();
        gate.optional_step("only", || Ok(Some("no network")));
        assert!(gate.passed());
        gate.step("first", || bail!("no"));
        let mut later = false;
        gate.step("second", || {
            later = true;
            Ok(())
        });
        assert!(later && gate.failed_steps() == ["first"]);
        let summary = gate.summary();
        for sign in ["only    SKIPPED: no network", "first   FAILED", "second  ok"] {
            assert!(summary.contains(sign), "{summary}");
        }
    }
}
