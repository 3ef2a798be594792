//! What each crate of ours depends on, as cargo resolves it for that crate alone.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use cargo_metadata::{DependencyKind, Package};

use crate::{cargo, workspace};

/// Rust versions compare as (major, minor, patch).
type RustVersion = (u64, u64, u64);

/// A package's name and version.
pub(super) type Key = (String, String);

pub(super) struct Graph {
    pub(super) crates: Vec<Crate>,
    /// The names of all packages in the lock file that any platform or feature uses.
    pub(super) locked: BTreeSet<String>,
    /// Packages with the features that are on for them, where everything of the workspace is built together.
    pub(super) features: BTreeSet<(String, String)>,
}

pub(super) struct Crate {
    pub(super) name: String,
    /// In `crates/`; the rest are chores and benches.
    pub(super) in_product: bool,
    pub(super) rust_version: Option<RustVersion>,
    /// The normal dependencies in its manifest.
    pub(super) direct: Vec<Arrow>,
    /// Normal dependencies of normal dependencies, on any platform, with all features.
    pub(super) tree: Vec<Dependency>,
    /// The names of those that a build with the default features has.
    pub(super) by_default: BTreeSet<String>,
    /// How many of them a build on Linux needs.
    pub(super) weight: usize,
}

pub(super) struct Arrow {
    pub(super) name: String,
    pub(super) optional: bool,
}

pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) rust_version: Option<RustVersion>,
}

/// One platform for the weights, so that they are the same wherever they are measured.
pub(super) const MEASURED_ON: &str = "x86_64-unknown-linux-gnu";

impl Graph {
    pub(super) fn read() -> Result<Self> {
        let metadata = workspace::metadata()?;
        let versions: HashMap<Key, Option<RustVersion>> =
            metadata.packages.iter().map(|package| (key(package), rust_version(package))).collect();
        let mut crates = Vec::new();
        for package in metadata.workspace_packages() {
            let dependency = |key: Key| {
                let rust_version = versions.get(&key).copied().flatten();
                Dependency { name: key.0, rust_version }
            };
            crates.push(Crate {
                name: package.name.to_string(),
                in_product: workspace::is_product(package),
                rust_version: rust_version(package),
                direct: direct(package),
                tree: tree(package, &["--all-features", "--target", "all"])?
                    .into_iter()
                    .map(dependency)
                    .collect(),
                by_default: tree(package, &["--target", "all"])?.into_iter().map(|key| key.0).collect(),
                weight: tree(package, &["--all-features", "--target", MEASURED_ON])?.len(),
            });
        }
        crates.sort_by(|a, b| (b.in_product, &a.name).cmp(&(a.in_product, &b.name)));
        let locked = metadata.packages.iter().map(|package| package.name.to_string()).collect();
        Ok(Self { crates, locked, features: features()? })
    }
}

/// `cargo metadata` gives the features that the whole workspace asks for together; `cargo tree` gives those
/// that a user of this one package gets. `choice` says which of its features are on, for which platform.
pub(super) fn tree(package: &Package, choice: &[&str]) -> Result<BTreeSet<Key>> {
    let mut command = cargo::cargo(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    command.args(["--format", "{p}", "--manifest-path", package.manifest_path.as_str()]).args(choice);
    let mut keys = keys(&cargo::output(&mut command)?);
    keys.remove(&key(package));
    Ok(keys)
}

fn features() -> Result<BTreeSet<(String, String)>> {
    let mut command = cargo::cargo(["tree", "--workspace", "--all-features", "--prefix", "none"]);
    command.args(["--format", "{p}\t{f}", "--target", "all"]);
    Ok(pairs(&cargo::output(command.current_dir(workspace::root()))?))
}

/// From lines of `NAME vVERSION`, a tab, and `FEATURE,FEATURE (*)`.
fn pairs(tree: &str) -> BTreeSet<(String, String)> {
    let pairs = |line: &str| {
        let (package, features) = line.split_once('\t')?;
        let name = package.split_whitespace().next()?.to_owned();
        let features = features.split_whitespace().next().unwrap_or_default().split(',');
        let features = features.filter(|feature| !feature.is_empty());
        Some(features.map(|feature| (name.clone(), feature.to_owned())).collect::<Vec<_>>())
    };
    tree.lines().filter_map(pairs).flatten().collect()
}

/// From lines of `NAME vVERSION (proc-macro) (*)`.
fn keys(tree: &str) -> BTreeSet<Key> {
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
    };
    tree.lines().filter_map(key).collect()
}

fn key(package: &Package) -> Key {
    (package.name.to_string(), package.version.to_string())
}

fn direct(package: &Package) -> Vec<Arrow> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| Arrow { name: dependency.name.clone(), optional: dependency.optional }).collect()
}

fn rust_version(package: &Package) -> Option<RustVersion> {
    package.rust_version.as_ref().map(|version| (version.major, version.minor, version.patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_features_of_each_package() {
        let pairs = pairs("a v1.0.0 (some/where)\tdefault,x\nb v1.0.2\t\na v1.0.0\tdefault,x (*)\n\n");
        let pair = |name: &str, feature: &str| (name.to_owned(), feature.to_owned());
        assert_eq!(pairs, BTreeSet::from([pair("a", "default"), pair("a", "x")]));
    }

    #[test]
    fn reads_a_tree_each_package_once() {
        let tree =
            "a v1.0.0 (some/where)\nserde v1.0.2\nserde_derive v1.0.2 (proc-macro)\nserde v1.0.2 (*)\n\n";
        let names: Vec<String> =
            keys(tree).into_iter().map(|(name, version)| name + " " + &version).collect();
        assert_eq!(names, ["a 1.0.0", "serde 1.0.2", "serde_derive 1.0.2"]);
    }
}
