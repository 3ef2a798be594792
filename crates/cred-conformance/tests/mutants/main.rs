//! Tests of the suite itself: every clause fails on some flawed provider, and none on a correct
//! one.
//!
//! `MUTANTS.md` next to the manifest has the table of clauses and mutants.
//! `CRED_BLESS=1 cargo test -p cred-conformance --test mutants` writes it. Without the variable,
//! the test fails if the table is stale.

#![cfg(test)]

mod abilities;
mod bench;
mod contents;
mod flaw;
mod naming;
mod provider;
#[path = "../red/mod.rs"]
mod red;
mod stall;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use bench::MutantHarness;
use cred_conformance::Clause;
use flaw::Flaw;
use red::{Failures, failures};

const INTRODUCTION: &str = "\
# Clauses and mutants

A mutant is a correct provider with one defect. This table lists the mutants on which each clause
fails, so a failed clause points at the mistakes to look for. The most specific mutants come first:
those that the fewest other clauses catch. To write this file, run
`CRED_BLESS=1 cargo test -p cred-conformance --test mutants`.
";

#[test]
fn every_clause_catches_a_mutant_and_passes_a_correct_provider() {
    // Hundreds of expected panics would hide an unexpected one.
    std::panic::set_hook(Box::new(|_| {}));
    let queue: Mutex<VecDeque<Option<Flaw>>> =
        Mutex::new([None].into_iter().chain(Flaw::ALL.iter().copied().map(Some)).collect());
    let results: Mutex<BTreeMap<Option<Flaw>, Failures>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(flaw) = next else { return };
                    let failures = failures(MutantHarness::offers(), || MutantHarness::new(flaw));
                    results.lock().unwrap().insert(flaw, failures);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let mut results = results.into_inner().unwrap();

    let correct = results.remove(&None).unwrap();
    assert!(correct.is_empty(), "clauses fail on a correct provider: {correct:#?}");
    let uncaught: Vec<_> =
        results.iter().filter(|(_, failures)| failures.is_empty()).map(|(flaw, _)| flaw.unwrap()).collect();
    let idle: Vec<_> =
        Clause::all().iter().map(Clause::name).filter(|name| caught(&results, name).is_empty()).collect();
    if let Ok(flaw) = std::env::var("CRED_MUTANT") {
        let shown = results.iter().filter(|(name, _)| format!("{:?}", name.unwrap()) == flaw);
        panic!("{:#?}", shown.collect::<Vec<_>>());
    }
    assert!(
        uncaught.is_empty() && idle.is_empty(),
        "mutants that no clause catches: {uncaught:#?}\nclauses that catch no mutant: {idle:#?}"
    );
    assert_up_to_date(&table(&results));
}

/// The mutants that this clause catches, starting with those that the fewest other clauses catch.
fn caught(results: &BTreeMap<Option<Flaw>, Failures>, clause: &str) -> Vec<Flaw> {
    let mut flaws: Vec<_> = results
        .iter()
        .filter(|(_, failures)| failures.contains_key(clause))
        .map(|(flaw, failures)| (failures.len(), flaw.unwrap()))
        .collect();
    flaws.sort();
    flaws.into_iter().map(|(_, flaw)| flaw).collect()
}

fn table(results: &BTreeMap<Option<Flaw>, Failures>) -> String {
    let (clauses, mutants) = (Clause::all().len(), Flaw::ALL.len());
    let mut table = format!(
        "{INTRODUCTION}\n{clauses} clauses, {mutants} mutants.\n\n| clause | fails on |\n|---|---|\n"
    );
    for clause in Clause::all() {
        let flaws = caught(results, clause.name());
        let named: Vec<_> = flaws.iter().take(4).map(|flaw| format!("{flaw:?}")).collect();
        let more = match flaws.len().saturating_sub(4) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        writeln!(table, "| `{}` | {}{more} |", clause.name(), named.join(", ")).unwrap();
    }
    table
}

fn assert_up_to_date(table: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("MUTANTS.md");
    if std::env::var_os("CRED_BLESS").is_some() {
        std::fs::write(&file, table).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap() == table,
        "MUTANTS.md is stale: run CRED_BLESS=1 cargo test -p cred-conformance --test mutants"
    );
}
