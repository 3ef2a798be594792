//! Fuzzing: every decoder of the workspace under arbitrary bytes. The targets are in `fuzz/`.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{cargo, tools, workspace};

/// A separate workspace, with the layout of cargo-fuzz.
const FOLDER: &str = "fuzz";
const TOOLCHAIN: &str = "nightly";
/// No decoder needs more, and no input takes longer: beyond them an input is an artifact like a
/// crash.
const LIMITS: [&str; 2] = ["-rss_limit_mb=2048", "-timeout=10"];
/// The time that a build with every SDK may take, in addition to the fuzzing.
const BUILD: Duration = Duration::from_secs(60 * 60);

#[derive(Args)]
pub(crate) struct Options {
    /// The targets to run, one after the other; all where none is named
    targets: Vec<String>,
    /// Minutes for each target
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: u32,
}

/// Runs the targets, also after one has failed, and ends with the names of those that did.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let targets = chosen(targets()?, &options.targets)?;
    let mut failed = Vec::new();
    for (target, features) in &targets {
        println!("\n== {target}");
        let limit = BUILD + Duration::from_secs(u64::from(options.minutes) * 60);
        if !cargo::each_line(&command(target, features, options.minutes)?, limit, |_| {})? {
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        println!(
            "\nfailed: {}\nsee a failure again with `cargo +{TOOLCHAIN} fuzz run --all-features TARGET \
             {FOLDER}/artifacts/TARGET/FILE`, and make it an ordinary test",
            failed.join(", ")
        );
    }
    println!("\n{} targets, {} failed", targets.len(), failed.len());
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
        bail!("unknown fuzz target `{unknown}`; known: {}", known.join(", "));
    }
    all.retain(|name, _| names.is_empty() || names.contains(name));
    if all.is_empty() {
        bail!("{FOLDER}/Cargo.toml has no target");
    }
    Ok(all)
}

/// cargo-fuzz with the seeds that are committed, and what earlier runs have found beside them.
fn command(target: &str, features: &[String], minutes: u32) -> Result<Command> {
    let folder = workspace::root().join(FOLDER);
    let [corpus, seeds] = ["corpus", "seeds"].map(|name| folder.join(name).join(target));
    if !seeds.is_dir() {
        bail!("the fuzz target `{target}` has no seeds: add them to {FOLDER}/examples/seeds.rs");
    }
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let mut command = tools::cargo_fuzz()?;
    cargo::forget_xtask(&mut command);
    // The compiler's instrumentation is unstable; `CARGO` is that of our own toolchain.
    command.env("RUSTUP_TOOLCHAIN", TOOLCHAIN).env_remove("CARGO").current_dir(workspace::root());
    command.args(["run", "--fuzz-dir", FOLDER]);
    if !features.is_empty() {
        command.arg("--all-features"); // one build for all targets that need an SDK
    }
    command.arg(target).arg(corpus).arg(seeds).arg("--").args(LIMITS);
    command.arg(format!("-max_total_time={}", u64::from(minutes) * 60)).arg("-print_final_stats=1");
    let dictionary = folder.join("dictionaries").join(format!("{target}.dict"));
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_of_the_manifest_and_each_has_seeds() {
        let targets = targets().unwrap();
        assert!(targets["envelope"].is_empty());
        for target in targets.keys() {
            assert!(workspace::root().join(FOLDER).join("seeds").join(target).is_dir(), "{target}");
        }
        assert!(chosen(targets, &["no-such-target".to_owned()]).is_err());
    }
}
