//! The soak: the manager under everything at once, for long. Its program is a test of `cred-manager`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cargo;

const PACKAGE: &str = "cred-manager";
const PROGRAM: &str = "soak";
/// How long it runs, in minutes.
const VARIABLE: &str = "CRED_SOAK_MINUTES";

#[derive(Args)]
pub(crate) struct Options {
    /// How long it runs, over local files and over a faulty provider together
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    minutes: u32,
}

/// Runs it, optimised, and shows what it measures as it goes.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let words = ["test", "--release", "--package", PACKAGE, "--test", PROGRAM, "--"];
    let mut command = cargo::cargo(words);
    command.args(["--ignored", "--nocapture"]).env(VARIABLE, options.minutes.to_string());
    let mut ran = false;
    let passed = cargo::each_line(&command, |line| ran |= is_result_of_tests(line))?;
    // Without a single test it would pass for ever.
    if !ran {
        println!("soak: no test ran");
    }
    Ok(if passed && ran { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a line such as `test result: ok. 1 passed; ..` tells of at least one test.
fn is_result_of_tests(line: &str) -> bool {
    let counts = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "));
    let passed = counts.and_then(|(_, counts)| counts.split_whitespace().next()?.parse::<u32>().ok());
    passed.is_some_and(|passed| passed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_test_is_none() {
        assert!(is_result_of_tests(
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
        ));
        assert!(!is_result_of_tests(
            "test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"
        ));
        assert!(!is_result_of_tests("running 1 test"));
    }
}
