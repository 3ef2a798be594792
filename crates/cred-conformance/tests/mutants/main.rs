//! The proof of the kit: every clause turns red on some flawed provider, and none on a correct one.
//!
//! The table of both is in `docs/testing.md`. `CRED_BLESS=1 cargo test -p cred-conformance --test mutants` writes it
//! anew; without it, a stale table fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panic")]

mod abilities;
mod bench;
mod contents;
mod flaw;
mod naming;
mod provider;
mod stall;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bench::Bench;
use cred_conformance::Clause;
use flaw::Flaw;

/// The clauses that are red with a flaw, with their messages.
type Red = BTreeMap<&'static str, String>;

#[test]
fn every_clause_catches_a_mutant_and_no_clause_a_correct_provider() {
    // Hundreds of expected panics would bury the one that counts.
    std::panic::set_hook(Box::new(|_| {}));
    let queue: Mutex<VecDeque<Option<Flaw>>> =
        Mutex::new([None].into_iter().chain(Flaw::ALL.iter().copied().map(Some)).collect());
    let results: Mutex<BTreeMap<Option<Flaw>, Red>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..workers {
            threads.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().pop_front();
                    let Some(flaw) = next else { return };
                    let red = red_clauses(flaw);
                    results.lock().unwrap().insert(flaw, red);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let mut results = results.into_inner().unwrap();

    let correct = results.remove(&None).unwrap();
    assert!(correct.is_empty(), "a correct provider is red: {correct:#?}");
    let harmless: Vec<_> =
        results.iter().filter(|(_, red)| red.is_empty()).map(|(flaw, _)| flaw.unwrap()).collect();
    let idle: Vec<_> =
        Clause::all().iter().map(Clause::name).filter(|name| caught(&results, name).is_empty()).collect();
    if let Ok(flaw) = std::env::var("CRED_MUTANT") {
        let shown = results.iter().filter(|(name, _)| format!("{:?}", name.unwrap()) == flaw);
        panic!("{:#?}", shown.collect::<Vec<_>>());
    }
    assert!(
        harmless.is_empty() && idle.is_empty(),
        "mutants that no clause catches: {harmless:#?}\nclauses that catch no mutant: {idle:#?}"
    );
    is_up_to_date(&table(&results));
}

/// On one thread and a paused clock, so that the outcome is the same on every machine.
fn red_clauses(flaw: Option<Flaw>) -> Red {
    let mut red = Red::new();
    for clause in Clause::all() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let harness = Arc::new(Bench::new(flaw));
        let outcome = runtime.block_on(async { tokio::spawn(clause.check(harness, Bench::offers())).await });
        if let Err(failed) = outcome {
            let panic = failed.into_panic();
            let message = panic.downcast_ref::<String>().cloned();
            red.insert(clause.name(), message.unwrap_or_else(|| "a panic of another kind".to_owned()));
        }
    }
    red
}

/// Those that this clause catches, the ones that fewest others catch first.
fn caught(results: &BTreeMap<Option<Flaw>, Red>, clause: &str) -> Vec<Flaw> {
    let mut flaws: Vec<_> = results
        .iter()
        .filter(|(_, red)| red.contains_key(clause))
        .map(|(flaw, red)| (red.len(), flaw.unwrap()))
        .collect();
    flaws.sort();
    flaws.into_iter().map(|(_, flaw)| flaw).collect()
}

fn table(results: &BTreeMap<Option<Flaw>, Red>) -> String {
    let mut table = format!(
        "{} clauses, {} mutants; each mutant is a correct provider with one defect. A clause's own mutants come first: \
         those that fewest other clauses catch.\n\n| clause | turns red on |\n|---|---|\n",
        Clause::all().len(),
        Flaw::ALL.len()
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

fn is_up_to_date(table: &str) {
    const BEGIN: &str = "<!-- mutants:begin -->\n";
    const END: &str = "<!-- mutants:end -->";
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    if crate_dir.join("Cargo.toml.orig").exists() {
        // A packaged crate has no docs beside it.
        return;
    }
    let file = crate_dir.join("../../docs/testing.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let Some((before, rest)) = text.split_once(BEGIN) else {
        panic!("docs/testing.md has no line `{}`", BEGIN.trim());
    };
    let Some((old, after)) = rest.split_once(END) else {
        panic!("docs/testing.md has no line `{END}`");
    };
    if old == table {
        return;
    }
    assert!(
        std::env::var_os("CRED_BLESS").is_some(),
        "the table of mutants in docs/testing.md is stale: run CRED_BLESS=1 cargo test -p cred-conformance --test mutants"
    );
    std::fs::write(&file, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
}
