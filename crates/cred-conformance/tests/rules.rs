//! The clauses of the suite match the rules in the docs of the contract: every rule has a test, and
//! every test a rule.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use cred_conformance::Clause;

/// Rules without a number in the docs of the contract: `offers` belongs to this suite, and
/// `metrics` is documented at `StorageMetrics`.
const UNNUMBERED: [&str; 2] = ["offers", "metrics"];

/// Returns each numbered rule in the docs of this source file, with the item that it documents.
fn rules(source: &str) -> BTreeMap<String, String> {
    let mut rules = BTreeMap::new();
    let (mut open, mut owner) = (Vec::new(), String::new());
    for line in source.lines().map(str::trim) {
        if let Some(rule) = line.strip_prefix("/// - **") {
            let (rule, _) = rule.split_once(".**").unwrap_or_else(|| panic!("a rule without a name: {line}"));
            open.push(rule.to_owned());
        }
        let item = |keyword: &str| {
            let rest = line.strip_prefix(keyword)?;
            rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
        };
        let item = match (item("pub trait "), item("async fn ").or_else(|| item("fn "))) {
            (Some(name), _) => {
                owner = format!("cred_core::{name}");
                owner.clone()
            }
            (None, Some(name)) => format!("{owner}::{name}"),
            (None, None) => continue,
        };
        for rule in open.drain(..) {
            assert!(rules.insert(rule.clone(), item.clone()).is_none(), "{rule} is documented twice");
        }
    }
    assert!(open.is_empty(), "rules without an item: {open:?}");
    rules
}

#[test]
fn every_rule_of_the_docs_has_a_clause_and_every_clause_a_rule() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let core = crate_dir.join("../cred-core/src");
    if crate_dir.join("Cargo.toml.orig").exists() {
        // A packaged crate does not contain the source of cred-core.
        return;
    }
    let mut documented = BTreeMap::new();
    for file in ["provider.rs", "abilities.rs"] {
        documented.extend(rules(&std::fs::read_to_string(core.join(file)).unwrap()));
    }
    assert!(documented.len() > 40, "found too few rules: {documented:?}");
    let proven: BTreeMap<String, String> = Clause::all()
        .iter()
        .filter(|clause| !UNNUMBERED.contains(&clause.rule().as_str()))
        .map(|clause| (clause.rule(), clause.documented_at().to_owned()))
        .collect();
    assert_eq!(proven, documented);
}

#[test]
fn rules_are_read_from_the_docs_of_their_item() {
    let source = "
        /// - **scope-1.** All.
        #[async_trait]
        pub trait Storage: Send + Sync {
            /// - **store-1.** One.
            ///   More of it.
            /// - **store-2.** Two.
            async fn store(&self);
            fn describe(&self) -> &Description;
        }";
    let expected = [
        ("scope-1", "cred_core::Storage"),
        ("store-1", "cred_core::Storage::store"),
        ("store-2", "cred_core::Storage::store"),
    ];
    assert_eq!(rules(source), expected.map(|(rule, place)| (rule.to_owned(), place.to_owned())).into());
}
