//! The files and fields that every package in `crates/` and `testing/` has.

use std::collections::BTreeSet;

use toml_edit::DocumentMut;

use super::Tree;
use crate::workspace::setting;

/// The modules of a store; further ones are named by their domain.
const MODULES: [&str; 5] = ["lib", "config", "client", "provider", "error"];
/// The store in memory makes no requests, and has neither settings nor errors to map.
const WITHOUT: [(&str, &str); 3] =
    [("cred-store-memory", "client"), ("cred-store-memory", "config"), ("cred-store-memory", "error")];

const SETTINGS: [&str; 3] = ["package.description", "package.rust-version", "lints.workspace"];
const DOCS_RS: &str = "package.metadata.docs.rs";

/// Makes `cargo test --doc` compile the examples of a README.
const INCLUDED: &str = "#[doc = include_str!(\"../README.md\")]";

pub(super) fn packages_are_complete(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for folder in folders(tree) {
        let [manifest, readme, lib] =
            ["Cargo.toml", "README.md", "src/lib.rs"].map(|file| tree.text(&format!("{folder}/{file}")));
        let Some(Ok(manifest)) = manifest.map(str::parse::<DocumentMut>) else {
            found.push(format!("{folder}: no Cargo.toml, or one that does not parse"));
            continue;
        };
        let published = folder.starts_with("crates/")
            && setting(&manifest, "package.publish").and_then(|publish| publish.as_bool()) != Some(false);
        for name in SETTINGS.into_iter().chain(published.then_some(DOCS_RS)) {
            if setting(&manifest, name).is_none() {
                found.push(format!("{folder}/Cargo.toml: no `{name}`"));
            }
        }
        let Some(readme) = readme else {
            found.push(format!("{folder}: no README.md, the front page of the package"));
            continue;
        };
        let Some(lib) = lib else { continue }; // the README of a program has commands
        if !lib.lines().any(|line| line.trim() == INCLUDED) {
            let how = "add it under `#[cfg(doctest)]`, so that the README's examples are compiled";
            found.push(format!("{folder}/src/lib.rs: no `{INCLUDED}`; {how}"));
        }
        if published && !readme.lines().any(|line| line.starts_with("```rust")) {
            found.push(format!("{folder}/README.md: no example in Rust; show the first use"));
        }
    }
    found
}

pub(super) fn stores_have_the_same_modules(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for folder in folders(tree) {
        let name = folder.split('/').next_back().unwrap_or_default();
        let needs = |module: &&str| name.starts_with("cred-store-") && !WITHOUT.contains(&(name, module));
        for module in MODULES.into_iter().filter(needs) {
            let files = [format!("{folder}/src/{module}.rs"), format!("{folder}/src/{module}/mod.rs")];
            if files.iter().all(|file| tree.text(file).is_none()) {
                found.push(format!("{folder}: no module `{module}`; every store has the same ones"));
            }
        }
    }
    found
}

/// The folders of packages, such as `crates/cred-core`.
fn folders(tree: &Tree) -> BTreeSet<&str> {
    let is_package = |folder: &&str| folder.starts_with("crates/") || folder.starts_with("testing/");
    let second = |path: &str| path.match_indices('/').nth(1).map(|(at, _)| at);
    tree.files().filter_map(|(path, _)| path.get(..second(path)?).filter(is_package)).collect()
}
