use std::collections::BTreeSet;

use super::graph::{Arrow, Dependency};
use super::*;

/// A crate that breaks nothing: the manager with its crypto behind a feature.
fn manager() -> Crate {
    let arrow = |name: &str, optional| Arrow { name: name.to_owned(), optional };
    Crate {
        name: "cred-manager".to_owned(),
        in_product: true,
        rust_version: Some((1, 85, 0)),
        direct: vec![arrow("cred-core", false), arrow("cred-crypto", true), arrow("tokio", false)],
        tree: vec![Dependency { name: "tokio".to_owned(), rust_version: Some((1, 71, 0)) }],
        by_default: BTreeSet::from(["tokio".to_owned()]),
        weight: 3,
    }
}

fn found(one: Crate) -> Vec<String> {
    let other = |name: &str| Crate {
        name: name.to_owned(),
        in_product: false,
        direct: Vec::new(),
        tree: Vec::new(),
        ..manager()
    };
    let crates =
        vec![one, other("cred-core"), other("cred-crypto"), other("cred-store-local"), other("xtask")];
    findings(&Graph { crates, locked: BTreeSet::from(["tokio".to_owned()]), features: BTreeSet::new() })
}

fn with(change: impl FnOnce(&mut Crate)) -> String {
    let mut one = manager();
    change(&mut one);
    found(one).join("\n")
}

#[test]
fn a_crate_within_its_rules_passes() {
    assert_eq!(found(manager()), Vec::<String>::new());
}

#[test]
fn an_arrow_that_is_not_in_the_table_is_found() {
    let message = with(|one| one.direct.push(Arrow { name: "cred-store-local".to_owned(), optional: true }));
    assert_eq!(message, "cred-manager may not depend on cred-store-local");
}

#[test]
fn an_optional_arrow_that_became_firm_is_found() {
    let message = with(|one| one.direct.iter_mut().for_each(|arrow| arrow.optional = false));
    assert_eq!(message, "cred-manager depends on cred-crypto always; it may only behind a feature");
}

#[test]
fn a_crate_without_a_row_is_found() {
    assert!(with(|one| one.name = "cred-new".to_owned()).starts_with("cred-new has no row"));
}

#[test]
fn a_family_that_core_may_not_bring_is_found() {
    for (package, found) in
        [("tokio", true), ("tokio-util", true), ("rustls", true), ("aws-config", true), ("tokiox", false)]
    {
        let message = with(|one| {
            one.name = "cred-core".to_owned();
            one.direct.clear();
            one.tree = vec![Dependency { name: package.to_owned(), rust_version: None }];
        });
        assert_eq!(message.contains("may not bring"), found, "{package}: {message}");
    }
}

#[test]
fn a_second_version_of_a_stack_is_found() {
    let package = |name: &str| Dependency { name: name.to_owned(), rust_version: None };
    let message = with(|one| one.tree.extend([package("syn"), package("syn")]));
    assert_eq!(message, "");
    let message = with(|one| one.tree.push(package("tokio")));
    assert!(message.contains("may not bring two versions of tokio"), "{message}");
}

#[test]
fn a_clouds_sdk_in_the_programs_default_is_found() {
    for (package, found) in
        [("aws-config", true), ("azure_core", true), ("vaultrs", true), ("rustls", true), ("tokio", false)]
    {
        let message = with(|one| {
            one.name = "cred-cli".to_owned();
            one.direct.clear();
            one.by_default = BTreeSet::from([package.to_owned()]);
        });
        assert_eq!(message.contains("behind a feature only"), found, "{package}: {message}");
    }
}

#[test]
fn too_many_packages_are_found() {
    assert!(with(|one| one.weight = 1000).contains("needs 1000 packages"));
}

#[test]
fn a_second_user_of_ring_is_found() {
    assert!(
        with(|one| one.direct.push(Arrow { name: "ring".to_owned(), optional: false }))
            .contains("use ring itself")
    );
}

#[test]
fn a_dependency_that_needs_a_newer_rust_is_found() {
    let message = with(|one| one.rust_version = Some((1, 70, 0)));
    assert_eq!(message, "cred-manager promises Rust 1.70, but tokio needs 1.71");
    assert!(with(|one| one.rust_version = None).contains("has no rust-version"));
}

#[test]
fn a_package_that_may_be_nowhere_is_found() {
    for name in ["openssl", "openssl-sys", "native-tls"] {
        let graph = Graph {
            crates: vec![manager()],
            locked: BTreeSet::from([name.to_owned()]),
            features: BTreeSet::new(),
        };
        assert!(findings(&graph).contains(&format!("{name} may not be anywhere in the tree")));
    }
}

#[test]
fn every_crate_of_the_workspace_has_a_row() {
    for package in crate::workspace::members().unwrap() {
        if crate::workspace::is_product(&package) {
            assert!(rules::rule(&package.name).is_some(), "{} has none", package.name);
        }
    }
}

#[test]
fn a_feature_that_prints_secrets_is_found() {
    let features = |feature: &str| BTreeSet::from([("azure_core".to_owned(), feature.to_owned())]);
    let found = |features| findings(&Graph { crates: Vec::new(), locked: BTreeSet::new(), features });
    assert_eq!(found(features("reqwest")), Vec::<String>::new());
    assert!(found(features("debug")).join("").starts_with("azure_core may not have its feature `debug`"));
}
