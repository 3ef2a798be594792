//! The whole test suite again and again on a busy machine: a test that can fail by chance shows
//! here.

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::{guard, table, test};

#[derive(Args)]
pub(crate) struct Options {
    /// How many times the suite runs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
}

/// Runs all unit and integration tests that need no server, beside one busy process for each core.
/// Fails if a test failed in any round, and names it with the number of its failures.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut programs = test::programs(&[])?;
    programs.extend(test::example_programs()?);
    let _load = Load::start()?;
    let (mut failures, mut ran) = (BTreeMap::<[String; 3], usize>::new(), 0);
    for round in 1..=options.times {
        let begin = Instant::now();
        let mut report = test::run_all(&programs);
        report.require_a_test();
        for suite in report.suites() {
            for name in suite.failures() {
                let test = [suite.crate_name.clone(), suite.target.clone(), name.clone()];
                *failures.entry(test).or_default() += 1;
            }
        }
        let [passed, failed, ..] = report.counts();
        ran += passed + failed;
        println!(
            "\nround {round} of {}: {}, {} s\n",
            options.times,
            report.totals(),
            begin.elapsed().as_secs()
        );
    }
    let rows: Vec<_> = failures
        .iter()
        .map(|([crate_name, target, name], times)| {
            [crate_name.clone(), target.clone(), name.clone(), times.to_string()]
        })
        .collect();
    println!("{}", table::render(["crate", "tests", "failed test", "times"], &[3], &rows));
    let failed: usize = failures.values().sum();
    println!("{} rounds\n{} passed, {failed} failed", options.times, ran.saturating_sub(failed));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Processes that keep all cores busy until this is dropped.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Result<Self> {
        let mut load = Self(Vec::new());
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            let mut busy = Command::new("sh");
            busy.args(["-c", "while :; do :; done"]);
            load.0.push(guard::guarded(&busy, &[]).spawn().context("cannot start a busy process")?);
        }
        Ok(load)
    }
}

impl Drop for Load {
    /// Without its input, a guard ends what it started.
    fn drop(&mut self) {
        for guard in &mut self.0 {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
    }
}
