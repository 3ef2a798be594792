//! What a backend costs who builds it: time, and the size of the program, beside the bare SDK.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{rules, samples};
use crate::{cargo, table, workspace};

/// One program, built from nothing.
struct Build {
    seconds: f64,
    /// Of all processors together; `None` where the system does not tell.
    processor_seconds: Option<f64>,
    bytes: u64,
}

/// Builds those on these backends, or all of them, one after another, and gives the table.
pub(super) fn measured(backends: &[String]) -> Result<String> {
    let rules = selected(backends)?;
    let manifest = workspace::root().join(samples::FOLDER).join("Cargo.toml");
    // Before the first clock starts: what a network does is no matter of ours.
    cargo::run(cargo::cargo(["fetch", "--locked", "--manifest-path"]).arg(&manifest))?;
    let mut rows = Vec::new();
    for rule in rules {
        let ours = Build::of(rule.name, &manifest)?;
        let bare = samples::bare(rule).map(|name| Build::of(&name, &manifest)).transpose()?;
        rows.push(row(rule.name, &ours, bare.as_ref()));
    }
    let header = ["program on", "s", "bare", "ratio", "CPU s", "bare", "ratio", "MB", "bare", "ratio"];
    Ok(table::render(header, &[1, 2, 3, 4, 5, 6, 7, 8, 9], &rows))
}

fn selected(backends: &[String]) -> Result<Vec<&'static rules::Sample>> {
    if backends.is_empty() {
        return Ok(rules::SAMPLES.iter().collect());
    }
    let find = |name: &String| rules::SAMPLES.iter().find(|rule| rule.name == *name);
    backends.iter().map(|name| find(name).with_context(|| format!("there is no program on {name}"))).collect()
}

impl Build {
    fn of(program: &str, manifest: &Path) -> Result<Self> {
        let target = tempfile::tempdir().context("no temporary folder to build in")?;
        let mut build = cargo::cargo(["build", "--quiet", "--locked", "--offline", "--release"]);
        build.args(["--package", program, "--manifest-path"]).arg(manifest);
        build.arg("--target-dir").arg(target.path()).env_remove("CARGO_BUILD_TARGET");
        let (begun, before) = (Instant::now(), processor_seconds());
        cargo::run(&mut build)?;
        let (seconds, after) = (begun.elapsed().as_secs_f64(), processor_seconds());
        let built =
            target.path().join("release").join(program).with_extension(std::env::consts::EXE_EXTENSION);
        let bytes = fs::metadata(&built).with_context(|| format!("{} was not built", built.display()))?.len();
        Ok(Self {
            seconds,
            processor_seconds: after.zip(before).map(|(after, before)| after - before),
            bytes,
        })
    }
}

/// What the children that have ended took, and theirs, as Linux tells it: on a machine that does other things as well, it says
/// more than a clock.
fn processor_seconds() -> Option<f64> {
    read_processor_seconds(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The 16th and 17th field of proc(5), in hundredths of a second; the second one is a name that may hold blanks.
fn read_processor_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = |field: usize| fields.split(' ').nth(field - 3)?.parse::<f64>().ok();
    Some((ticks(16)? + ticks(17)?) / 100.0)
}

fn row(name: &str, ours: &Build, bare: Option<&Build>) -> [String; 10] {
    let megabytes = |build: &Build| build.bytes as f64 / 1e6;
    let [s, bare_s, ratio_s] = compared(Some(ours.seconds), bare.map(|bare| bare.seconds), 0);
    let [cpu, bare_cpu, ratio_cpu] =
        compared(ours.processor_seconds, bare.and_then(|bare| bare.processor_seconds), 0);
    let [mb, bare_mb, ratio_mb] = compared(Some(megabytes(ours)), bare.map(megabytes), 1);
    [name.to_owned(), s, bare_s, ratio_s, cpu, bare_cpu, ratio_cpu, mb, bare_mb, ratio_mb]
}

/// Both figures with so many decimals, and their ratio.
fn compared(ours: Option<f64>, bare: Option<f64>, decimals: usize) -> [String; 3] {
    let shown = |figure: Option<f64>, decimals| {
        figure.map_or("-".to_owned(), |figure| format!("{figure:.decimals$}"))
    };
    let ratio = ours.zip(bare).map(|(ours, bare)| ours / bare);
    [shown(ours, decimals), shown(bare, decimals), shown(ratio, 2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_ended_children_is_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 11 12 1300 250 20 0 1 0 5";
        assert_eq!(read_processor_seconds(stat), Some(15.5));
        assert_eq!(read_processor_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn backends_are_chosen_by_name() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            selected(&names).map(|rules| rules.iter().map(|rule| rule.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), rules::SAMPLES.len());
        assert_eq!(names(&["vault", "local"]).unwrap(), ["vault", "local"]);
        assert!(names(&["valt"]).unwrap_err().to_string().contains("no program on valt"));
    }

    #[test]
    fn a_build_stands_beside_the_bare_one() {
        let build = |seconds, bytes| Build { seconds, processor_seconds: None, bytes };
        assert_eq!(
            row("x", &build(30.0, 5_000_000), Some(&build(20.0, 4_000_000))),
            ["x", "30", "20", "1.50", "-", "-", "-", "5.0", "4.0", "1.25"]
        );
        assert_eq!(row("x", &build(30.0, 5_000_000), None)[1..4], ["30", "-", "-"]);
    }
}
