//! The clauses of the kit are the rules of the contract's docs: none is without a test, none is
//! made up.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use cred_conformance::Clause;

/// What has no number in the docs of the contract: the kit's own words, and a method whose rule is
/// the docs of `StorageMetrics`.
const UNNUMBERED: [&str; 2] = ["offers", "metrics"];

/// Each numbered rule in the docs of this source, with the item whose docs they are.
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
        let place = match (item("pub trait "), item("async fn ").or_else(|| item("fn "))) {
            (Some(name), _) => {
                owner = format!("cred_core::{name}");
                owner.clone()
            }
            (None, Some(name)) => format!("{owner}::{name}"),
            (None, None) => continue,
        };
        for rule in open.drain(..) {
            assert!(rules.insert(rule.clone(), place.clone()).is_none(), "{rule} stands in the docs twice");
        }
    }
    assert!(open.is_empty(), "rules that belong to no item: {open:?}");
    rules
}

#[test]
fn every_rule_of_the_docs_has_a_clause_and_every_clause_a_rule() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let core = crate_dir.join("../cred-core/src");
    if crate_dir.join("Cargo.toml.orig").exists() {
        // A packaged crate has no neighbour whose docs could be read.
        return;
    }
    let mut documented = BTreeMap::new();
    for file in ["provider.rs", "abilities.rs"] {
        documented.extend(rules(&std::fs::read_to_string(core.join(file)).unwrap()));
    }
    assert!(documented.len() > 40, "too few rules to be all of them: {documented:?}");
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
