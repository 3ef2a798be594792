//! Fuzzing: every decoder of the workspace under bytes that nobody thought of. The targets stand in `fuzz/`.

mod stats;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::stats::Stats;
use crate::{cargo, table, tools, workspace};

/// A workspace of its own, with the layout of cargo-fuzz.
const FOLDER: &str = "fuzz";
const TOOLCHAIN: &str = "nightly";
/// Nothing that is decoded needs more, and no input takes longer: beyond them an input is an artifact like a crash.
const MOST_MEMORY_MB: u32 = 2_048;
const LONGEST_INPUT_SECONDS: u32 = 10;

#[derive(Args)]
pub(crate) struct Options {
    /// The targets to run, one after the other; all where none is named
    targets: Vec<String>,
    /// Minutes for each target
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: u32,
}

/// Runs the targets and ends with a table; fails where one has crashed, also in an earlier run whose artifact is still there.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let targets = chosen(targets()?, &options.targets)?;
    nightly()?;
    tools::cargo_fuzz()?;
    let mut outcomes = Vec::new();
    for (target, features) in &targets {
        println!("\n== {target}");
        outcomes.push(Outcome::of(target, features, options.minutes)?);
    }
    println!("\n{}", summary(&outcomes));
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed()).collect();
    for outcome in &failed {
        println!("{}: {}", outcome.target, outcome.problem());
    }
    println!("{} targets, {} failed", outcomes.len(), failed.len());
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The targets by name, each with the features that it needs, as the manifest has them.
fn targets() -> Result<BTreeMap<String, Vec<String>>> {
    let packages = workspace::members_of(FOLDER)?;
    let targets = packages.iter().flat_map(|package| &package.targets).filter(|target| target.is_bin());
    Ok(targets.map(|target| (target.name.clone(), target.required_features.clone())).collect())
}

fn chosen(mut all: BTreeMap<String, Vec<String>>, names: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    if let Some(unknown) = names.iter().find(|name| !all.contains_key(*name)) {
        let known: Vec<_> = all.keys().map(String::as_str).collect();
        bail!("there is no fuzz target `{unknown}`; there are {}", known.join(", "));
    }
    all.retain(|name, _| names.is_empty() || names.contains(name));
    if all.is_empty() {
        bail!("{FOLDER}/Cargo.toml has no target");
    }
    Ok(all)
}

/// The instrumentation of the compiler is not stable.
fn nightly() -> Result<()> {
    let mut command = Command::new("cargo");
    command.arg("--version").env("RUSTUP_TOOLCHAIN", TOOLCHAIN).stderr(Stdio::null());
    let there = command.output().is_ok_and(|output| {
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains(TOOLCHAIN)
    });
    match there {
        true => Ok(()),
        false => bail!(
            "fuzzing needs a nightly toolchain of rustup: run `rustup toolchain install {TOOLCHAIN} --profile minimal`"
        ),
    }
}

/// How one target went.
struct Outcome {
    target: String,
    stats: Stats,
    /// Whether it ran to its end.
    ended: bool,
    /// Inputs that it failed on, of this run and of earlier ones.
    artifacts: Vec<PathBuf>,
}

impl Outcome {
    fn of(target: &str, features: &[String], minutes: u32) -> Result<Self> {
        let mut stats = Stats::default();
        let ended = cargo::each_line(&command(target, features, minutes)?, |line| stats.read(line))?;
        Ok(Self { target: target.to_owned(), stats, ended, artifacts: artifacts(target)? })
    }

    /// A run that has executed nothing has shown nothing.
    fn passed(&self) -> bool {
        self.ended && self.artifacts.is_empty() && self.stats.executions > 0
    }

    fn problem(&self) -> String {
        match self.artifacts.first() {
            Some(artifact) => {
                let features = "--all-features";
                format!(
                    "failed on {}; see it again with `cargo +{TOOLCHAIN} fuzz run {features} {} {}`, make it an ordinary \
                     test, mend what it shows, and remove the file",
                    artifact.display(),
                    self.target,
                    artifact.display()
                )
            }
            None if self.ended => "executed nothing".to_owned(),
            None => "did not run to its end; see its output above".to_owned(),
        }
    }
}

/// cargo-fuzz with the seeds that are committed, and what earlier runs have found beside them.
fn command(target: &str, features: &[String], minutes: u32) -> Result<Command> {
    let folder = workspace::root().join(FOLDER);
    let corpus = folder.join("corpus").join(target);
    let seeds = folder.join("seeds").join(target);
    if !seeds.is_dir() {
        bail!("the fuzz target `{target}` has no seeds: add them to {FOLDER}/examples/seeds.rs");
    }
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let mut command = tools::cargo_fuzz()?;
    cargo::forget_xtask(&mut command);
    // Ours is that of a stable toolchain.
    command.env("RUSTUP_TOOLCHAIN", TOOLCHAIN).env_remove("CARGO").current_dir(workspace::root());
    command.args(["run", "--fuzz-dir", FOLDER]);
    if !features.is_empty() {
        // All at once: one build for all of those that need an SDK.
        command.arg("--all-features");
    }
    command.arg(target).arg(corpus).arg(seeds).arg("--");
    command.arg(format!("-max_total_time={}", u64::from(minutes) * 60));
    command.arg(format!("-rss_limit_mb={MOST_MEMORY_MB}"));
    command.arg(format!("-timeout={LONGEST_INPUT_SECONDS}"));
    command.arg("-print_final_stats=1");
    let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    Ok(command)
}

fn artifacts(target: &str) -> Result<Vec<PathBuf>> {
    let folder = workspace::root().join(FOLDER).join("artifacts").join(target);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        // What was slow and ended is no failure.
        let slow = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("slow-unit-"));
        found.extend((!slow).then(|| relative(&path)));
    }
    found.sort();
    Ok(found)
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix(workspace::root()).unwrap_or(path).to_owned()
}

fn summary(outcomes: &[Outcome]) -> String {
    let row = |outcome: &Outcome| {
        let stats = &outcome.stats;
        [
            outcome.target.clone(),
            stats.executions.to_string(),
            stats.coverage.to_string(),
            stats.new_inputs.to_string(),
            stats.peak_memory_mb.to_string(),
            outcome.artifacts.len().to_string(),
            if outcome.passed() { "ok" } else { "FAILED" }.to_owned(),
        ]
    };
    let header = ["target", "executions", "coverage", "new inputs", "peak MiB", "crashes", "result"];
    table::render(header, &[1, 2, 3, 4, 5], &outcomes.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([("a".to_owned(), Vec::new()), ("b".to_owned(), vec!["sdk".to_owned()])])
    }

    fn outcome(executions: u64, ended: bool, artifacts: &[&str]) -> Outcome {
        let artifacts = artifacts.iter().map(PathBuf::from).collect();
        Outcome { target: "a".to_owned(), stats: Stats { executions, ..Stats::default() }, ended, artifacts }
    }

    #[test]
    fn targets_are_those_of_the_manifest_and_each_has_seeds() {
        let targets = targets().unwrap();
        assert!(targets["envelope"].is_empty());
        assert_eq!(targets["vault"], ["vault"]);
        for target in targets.keys() {
            assert!(workspace::root().join(FOLDER).join("seeds").join(target).is_dir(), "{target}");
        }
    }

    #[test]
    fn one_is_chosen_by_name_and_an_unknown_one_is_refused() {
        assert_eq!(chosen(all(), &[]).unwrap().len(), 2);
        assert_eq!(chosen(all(), &["b".to_owned()]).unwrap().into_keys().collect::<Vec<_>>(), ["b"]);
        let error = chosen(all(), &["c".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`c`") && error.contains("a, b"), "{error}");
        assert!(chosen(BTreeMap::new(), &[]).is_err());
    }

    #[test]
    fn only_a_run_that_ended_and_left_nothing_passes() {
        assert!(outcome(1, true, &[]).passed());
        for failed in [outcome(0, true, &[]), outcome(1, false, &[]), outcome(1, true, &["crash-1"])] {
            assert!(!failed.passed());
            assert!(!failed.problem().is_empty());
        }
        let text = summary(&[outcome(1, true, &[]), outcome(7, false, &["crash-1"])]);
        assert!(text.contains("ok") && text.contains("FAILED"), "{text}");
    }
}
