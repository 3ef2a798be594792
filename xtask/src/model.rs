//! The model of the manager: its long run, and the mutants that it must catch.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use toml_edit::{DocumentMut, Item, Table};

use crate::test::{Report, Suite};
use crate::{cargo, table, test, workspace};

const PACKAGE: &str = "cred-manager";
/// The package's folder in the checkout.
const FOLDER: &str = "crates/cred-manager";
/// The mutants, in the package's folder.
const LIST: &str = "tests/model/mutants.toml";
/// How many reads the model makes; it has a default.
const READS: &str = "CRED_MODEL_READS";
/// A mutant that runs longer hangs, and so is caught. Others take half a minute.
const LIMIT: Duration = Duration::from_secs(5 * 60);
/// How many lines of a run are shown: the last broken promises and the summary.
const SHOWN: usize = 20;

#[derive(Args)]
pub(crate) struct Options {
    /// How many reads the long run makes
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    reads: u64,
    /// Skip the long run
    #[arg(long)]
    mutants_only: bool,
    /// Run only the mutants whose rule contains this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
}

/// A defect of the manager that breaks one of its rules.
struct Mutant {
    rule: String,
    /// The file with the defect, relative to the package.
    file: String,
    from: String,
    to: String,
}

/// Runs the model at full size, and then on each mutant of the files in git's index. Fails if the
/// first run fails, or if one of the others passes.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    // Before the long run, so that an error in the list is reported at once.
    let mut mutants = mutants()?;
    mutants.retain(|mutant| mutant.rule.contains(&options.only));
    ensure!(!mutants.is_empty(), "no rule in {LIST} contains `{}`", options.only);
    if !options.mutants_only {
        let words = ["test", "--release", "--package", PACKAGE, "--test", "model", "--", "--nocapture"];
        cargo::run(cargo::cargo(words).env(READS, options.reads.to_string()))?;
    }
    let folder = workspace::metadata()?.target_directory.join("mutants").into_std_path_buf();
    let tree = folder.join("tree");
    copy(&tree)?;
    println!("\n== without a mutant");
    if let Some(failures) = failures(&folder)? {
        bail!("the model fails without a mutant: {failures}");
    }
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    for mutant in &mutants {
        println!("\n== {}", mutant.rule);
        let (begin, file) = (Instant::now(), tree.join(FOLDER).join(&mutant.file));
        let source = read(&file)?;
        write(&file, mutant.apply(&source)?.as_bytes())?;
        let caught_by = failures(&folder);
        write(&file, source.as_bytes())?;
        if !matches!(caught_by, Ok(Some(_))) {
            missed.push(mutant.rule.as_str());
        }
        let caught_by = match caught_by {
            Ok(caught_by) => caught_by.unwrap_or_else(|| "NOTHING".to_owned()),
            Err(error) => format!("ERROR: {error:#}"),
        };
        rows.push([mutant.rule.clone(), caught_by, begin.elapsed().as_secs().to_string()]);
    }
    println!("\n{}", table::render(["broken rule", "caught by", "s"], &[2], &rows));
    if !missed.is_empty() {
        println!("not caught:\n  {}\n", missed.join("\n  "));
    }
    println!("{} mutants, {} not caught", mutants.len(), missed.len());
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds and runs the model of the copy. Returns the tests that failed; `None`: all passed.
fn failures(folder: &Path) -> Result<Option<String>> {
    let [tree, build] = ["tree", "build"].map(|name| folder.join(name).display().to_string());
    let words = ["--manifest-path", &format!("{tree}/Cargo.toml"), "--target-dir", &build, "--release"];
    let words = words.into_iter().chain(["--package", PACKAGE, "--test", "model"]).map(str::to_owned);
    let programs = test::build(&words.collect::<Vec<_>>(), &workspace::members_of(&tree)?)?;
    let [program] = programs.as_slice() else { bail!("the model is not one test program") };
    let (begin, mut output) = (Instant::now(), String::new());
    let mut command = program.command(&[]);
    command.env_remove(READS).env("RUST_BACKTRACE", "0");
    let ended = cargo::each_line_unseen(&command, LIMIT, |line| output += &format!("{line}\n"));
    let lines: Vec<_> = output.lines().collect();
    println!("{}", lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n"));
    match ended {
        Ok(success) => {
            let mut report = Report::of(Suite::read(&output, success));
            report.require_a_test();
            let failures: Vec<_> = report.suites().iter().flat_map(Suite::failures).cloned().collect();
            Ok((!failures.is_empty()).then(|| failures.join(", ")))
        }
        Err(_) if begin.elapsed() >= LIMIT => Ok(Some("time limit".to_owned())),
        Err(error) => Err(error),
    }
}

/// The mutants of the list.
fn mutants() -> Result<Vec<Mutant>> {
    let folder = workspace::root().join(FOLDER);
    parse(&read(&folder.join(LIST))?, |file| read(&folder.join(file))).with_context(|| format!("in {LIST}"))
}

/// Parses a list, and checks that each mutant applies to its source.
fn parse(list: &str, source: impl Fn(&str) -> Result<String>) -> Result<Vec<Mutant>> {
    let list: DocumentMut = list.parse()?;
    let tables =
        list.get("mutant").and_then(Item::as_array_of_tables).context("the list has no [[mutant]]")?;
    let mutants = tables.iter().map(Mutant::of).collect::<Result<Vec<_>>>()?;
    let (mut rules, mut wrong) = (HashSet::new(), Vec::new());
    for mutant in &mutants {
        if !rules.insert(&mutant.rule) {
            wrong.push(format!("{}: another mutant has the same rule", mutant.rule));
        }
        if let Err(error) = source(&mutant.file).and_then(|source| mutant.apply(&source)) {
            wrong.push(format!("{error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(mutants)
}

impl Mutant {
    fn of(table: &Table) -> Result<Self> {
        let text = |key: &str| {
            let text = table.get(key).and_then(Item::as_str);
            text.map(str::to_owned).with_context(|| format!("a mutant without the text `{key}`:\n{table}"))
        };
        Ok(Self { rule: text("rule")?, file: text("file")?, from: text("from")?, to: text("to")? })
    }

    fn apply(&self, source: &str) -> Result<String> {
        let Self { rule, file, from, to } = self;
        ensure!(from != to, "{rule}: `from` and `to` are the same");
        let times = source.matches(from.as_str()).count();
        ensure!(times == 1, "{rule}: `from` occurs {times} times in {file}, and must occur once");
        Ok(source.replacen(from, to, 1))
    }
}

/// Makes `tree` a copy of the files in git's index.
fn copy(tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    let mut copy = Command::new("git");
    copy.current_dir(workspace::root()).args(["checkout-index", "--all"]);
    cargo::run(copy.arg(format!("--prefix={}/", tree.display())))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_of_the_list_applies() {
        assert!(!mutants().unwrap().is_empty());
    }

    #[test]
    fn a_list_with_a_defect_is_refused() {
        let check =
            |list: &str| parse(list, |_| Ok("first once twice twice".to_owned())).map(|list| list.len());
        let mutant = |rule: &str, from: &str| {
            format!("[[mutant]]\nrule = \"{rule}\"\nfile = \"f\"\nfrom = \"{from}\"\nto = \"never\"\n")
        };
        assert_eq!(check(&(mutant("a", "once") + &mutant("b", "first"))).unwrap(), 2);
        for (list, why) in [
            (mutant("a", "once") + &mutant("a", "first"), "a: another mutant has the same rule"),
            (mutant("a", "once") + &mutant("b", "twice"), "b: `from` occurs 2 times"),
            (mutant("a", "thrice"), "a: `from` occurs 0 times"),
            (mutant("a", "never"), "a: `from` and `to` are the same"),
            (mutant("a", "once").replace("file", "files"), "without the text `file`"),
            (mutant("a", "once").replace("mutant", "mutants"), "no [[mutant]]"),
        ] {
            let error = check(&list).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
