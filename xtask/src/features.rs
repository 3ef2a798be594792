//! Each feature by itself: a crate that builds with all of them may not build with one.

use anyhow::Result;
use cargo_metadata::Package;

use crate::{cargo, workspace};

/// Lints each crate that has features without any of them, and with each one alone. All of them together is what every other
/// check does.
pub(crate) fn run() -> Result<()> {
    lint(|_| true)
}

/// Only those that are quick. A feature that brings a backend's SDK has it compiled once more: minutes each.
pub(crate) fn run_quick() -> Result<()> {
    lint(|package| !brings_an_sdk(package))
}

fn lint(is_wanted: impl Fn(&Package) -> bool) -> Result<()> {
    let wanted = |package: &&Package| workspace::is_product(package) && is_wanted(package);
    for package in workspace::members()?.iter().filter(wanted) {
        for features in choices(package) {
            let mut command = cargo::cargo(["clippy", "--package", &package.name, "--no-default-features"]);
            command.args(["--features", &features, "--", "-D", "warnings"]);
            cargo::run(&mut command)?;
        }
    }
    Ok(())
}

/// None, unless the crate says that it cannot be without (`package.metadata.cred.needs-a-feature`, with its reason); then one
/// at a time. Nothing for a crate without features.
fn choices(package: &Package) -> Vec<String> {
    let own: Vec<_> = package.features.keys().filter(|name| *name != "default").cloned().collect();
    let none = (!own.is_empty() && !needs_a_feature(package)).then(String::new);
    none.into_iter().chain(own).collect()
}

fn brings_an_sdk(package: &Package) -> bool {
    let is_store = |name: &str| name.starts_with("cred-store-") && name != "cred-store-local";
    let own = std::iter::once(package.name.as_str());
    let used =
        package.dependencies.iter().filter(|dependency| dependency.optional).map(|one| one.name.as_str());
    own.chain(used).any(is_store)
}

fn needs_a_feature(package: &Package) -> bool {
    package.metadata.pointer("/cred/needs-a-feature").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_tried_alone_and_none_is_too() {
        let packages = workspace::members().unwrap();
        let of = |name: &str| choices(packages.iter().find(|package| package.name.as_str() == name).unwrap());
        assert_eq!(of("cred-manager"), ["", "crypto", "metrics"]);
        assert_eq!(of("cred-store-k8s"), ["default-kubernetes-version"]);
        assert!(of("cred-core").is_empty());
    }

    #[test]
    fn what_compiles_an_sdk_again_is_left_to_the_chore() {
        let packages = workspace::members().unwrap();
        let named = |name: &str| packages.iter().find(|package| package.name.as_str() == name).unwrap();
        for (name, expected) in [("cred-manager", false), ("cred-cli", true), ("cred-store-k8s", true)] {
            assert_eq!(brings_an_sdk(named(name)), expected, "{name}");
        }
    }
}
