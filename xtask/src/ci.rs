//! The gate: every check in one command, so that what passes at a desk passes there too.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::test::{Report, Selection};
use crate::{
    cargo, deps, docs, features, fire, integration, lint, minimal_versions, package, quickstart, semver,
    table, test, tidy, tools,
};

/// Runs all steps, also after one has failed: one run should tell all there is to mend.
pub(crate) fn run(allow_missing: &[String]) -> Result<ExitCode> {
    let mut gate = Gate::default();
    let mut report = Report::default();

    gate.step("fmt", lint::format);
    gate.step("tidy", tidy::run);
    gate.step("deps", deps::run);
    gate.step("clippy", lint::clippy);
    gate.step("features", features::run_quick);
    gate.step("clippy outside", lint::clippy_outside);
    gate.step("minimal versions", minimal_versions::run);
    let mut programs = Vec::new();
    gate.step("tests", || test::built_tests(&Selection::Everything, &mut report, &mut programs));
    gate.step("doc tests", || test::doc_tests(&Selection::Everything, &mut report));
    let (tools, servers): (Vec<String>, _) =
        allow_missing.iter().cloned().partition(|name| name == fire::TOOL);
    gate.step("integration", || integration::catch_up(&servers, &programs, &mut report));
    gate.step("fire", || fire::catch_up(!tools.is_empty(), &programs, &mut report));
    gate.step("docs", docs::run);
    gate.step("quickstart", || quickstart::run(None));
    gate.step("deny", || cargo::run(tools::cargo_deny()?.args(["check", "bans", "licenses", "sources"])));
    gate.step("package", package::run);
    gate.step("semver", semver::run);

    report.conclude();
    println!("\n{}\n{}", gate.summary(), report.details());
    let ok = gate.passed() && report.passed();
    if !ok {
        println!("{}\nci failed: {}\n", report.failed(), gate.failed_steps().join(", "));
    }
    println!("{}", report.totals());
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Gate {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    passed: bool,
    took: Duration,
}

impl Gate {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        println!("\n== {name}");
        let start = Instant::now();
        let result = work();
        if let Err(error) = &result {
            println!("{name} failed: {error:#}");
        }
        self.steps.push(Step { name, passed: result.is_ok(), took: start.elapsed() });
    }

    fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.passed)
    }

    fn failed_steps(&self) -> Vec<&'static str> {
        self.steps.iter().filter(|step| !step.passed).map(|step| step.name).collect()
    }

    fn summary(&self) -> String {
        let row = |step: &Step| {
            let verdict = if step.passed { "ok" } else { "FAILED" };
            [step.name.to_owned(), verdict.to_owned(), format!("{:.1}", step.took.as_secs_f64())]
        };
        table::render(["step", "result", "seconds"], &[2], &self.steps.iter().map(row).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_stops_no_later_one_and_fails_the_gate() {
        let mut gate = Gate::default();
        let mut later = false;
        gate.step("first", || anyhow::bail!("no"));
        gate.step("second", || {
            later = true;
            Ok(())
        });
        assert!(later);
        assert!(!gate.passed());
        assert_eq!(gate.failed_steps(), ["first"]);
        let summary = gate.summary();
        assert!(summary.contains("first   FAILED") && summary.contains("second  ok"), "{summary}");
    }

    #[test]
    fn a_gate_whose_steps_all_pass_passes() {
        let mut gate = Gate::default();
        gate.step("only", || Ok(()));
        assert!(gate.passed());
    }
}
