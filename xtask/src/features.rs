//! Each feature by itself: a crate that builds with all of them may not build with one.

use anyhow::Result;
use cargo_metadata::Package;

use crate::{cargo, workspace};

/// Lints each crate that has features without any of them, and with each one alone. All of them together is what every other
/// check does.
pub(crate) fn run() -> Result<()> {
    for package in workspace::members()?.iter().filter(|package| workspace::is_product(package)) {
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
}
