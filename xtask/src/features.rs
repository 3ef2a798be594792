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

/// None, then one at a time; nothing for a crate without features.
fn choices(package: &Package) -> Vec<String> {
    let own: Vec<_> = package.features.keys().filter(|name| *name != "default").cloned().collect();
    if own.is_empty() { own } else { std::iter::once(String::new()).chain(own).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_tried_alone_and_none_is_too() {
        let packages = workspace::members().unwrap();
        let of = |name: &str| choices(packages.iter().find(|package| package.name.as_str() == name).unwrap());
        assert_eq!(of("cred-manager"), ["", "crypto", "metrics"]);
        assert!(of("cred-core").is_empty());
    }
}
