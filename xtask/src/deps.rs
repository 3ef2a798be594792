//! Checks what cargo-deny cannot express: the dependencies between our crates, the packages that
//! each one adds to a user's build and their number, and whether its `rust-version` is true. Rules
//! on the whole tree are in deny.toml.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Package, semver::Version};

use crate::{cargo, table, test, workspace};

/// Separate workspaces: downstream programs, one for each backend, and the example service.
const SAMPLES: [&str; 2] = ["examples/downstream", test::EXAMPLE];

/// Budgets are counted for one platform, so that they are the same on every machine.
const LINUX: [&str; 3] = ["--all-features", "--target", "x86_64-unknown-linux-gnu"];
const EVERYTHING: [&str; 3] = ["--all-features", "--target", "all"];

/// The limits of one package. In lists, words are separated by spaces.
///
/// 1. The name.
/// 2. The budget: how many other packages a build on Linux with all features may need. It is the
///    measured number plus a few, so that growth is noticed and decided on.
/// 3. Our crates that it may depend on; those with a `?` only behind a feature.
/// 4. Families of packages that it must not add: `aws` is `aws` and `aws-*`.
type Rule = (&'static str, usize, &'static str, &'static str);

/// The dependency rules of the design: a change here is a change of the design.
const RULES: [Rule; 22] = [
    ("cred-core", 22, "", NO_RUNTIME),
    ("cred-provider-kit", 54, "cred-core", ""),
    ("cred-crypto", 44, "cred-core", NO_CLOUD),
    ("cred-conformance", 28, "cred-core", NO_CLOUD),
    ("cred-fault-proxy", 48, "cred-core", "hyper"),
    ("cred-manager", 66, "cred-core cred-crypto?", NO_CLOUD),
    // A store uses the contract and the kit: never another store, the manager or the cryptography.
    ("cred-store-memory", 46, "cred-core cred-provider-kit", NO_CLOUD),
    ("cred-store-local", 52, "cred-core cred-provider-kit", NO_CLOUD),
    ("cred-store-vault", 140, "cred-core cred-provider-kit", "h2 aws-config aws-sdk azure kube"),
    ("cred-store-k8s", 130, "cred-core cred-provider-kit", "h2 aws-config aws-sdk azure vaultrs"),
    ("cred-store-aws", 168, "cred-core cred-provider-kit", "azure kube vaultrs"),
    ("cred-store-azure", 152, "cred-core cred-provider-kit", "h2 aws-config aws-sdk kube vaultrs"),
    // Each store is behind the feature of its name: a service builds only the stores that it
    // selects.
    ("cred-config", 275, CONFIG, ""),
    ("cred-rs", 290, FRONT_DOOR, ""),
    ("cred-cli", 305, "cred-config cred-core cred-crypto cred-manager cred-provider-kit", ""),
    // The programs in examples/downstream: a user of one backend builds no other backend's SDK.
    ("local", 80, "cred-core cred-manager cred-store-local", NO_CLOUD),
    ("vault", 160, "cred-core cred-manager cred-store-vault", ""),
    ("aws", 182, "cred-core cred-manager cred-store-aws", ""),
    ("azure", 168, "cred-core cred-manager cred-store-azure", ""),
    ("k8s", 150, "cred-core cred-manager cred-store-k8s", ""),
    // It reads a cred.toml, and is built with Vault alone.
    ("configured", 170, "cred-config cred-core cred-manager", NOT_VAULT),
    // One dependency on cred, whichever store it names; here files, memory and Vault.
    ("service", 210, "cred-rs", "aws-config aws-sdk azure kube"),
];

const CONFIG: &str = "cred-core cred-crypto cred-provider-kit cred-store-local? cred-store-aws? \
    cred-store-azure? cred-store-k8s? cred-store-vault? cred-store-memory?";

const FRONT_DOOR: &str = "cred-core cred-manager cred-config? cred-conformance? cred-store-local? cred-store-aws? \
    cred-store-azure? cred-store-k8s? cred-store-vault? cred-store-memory?";

/// A provider's author builds on core with any runtime, any TLS and any SDK.
const NO_RUNTIME: &str = "tokio async-std smol futures rustls hyper h2 reqwest aws azure kube";

/// A user of local files does not build a cloud SDK.
const NO_CLOUD: &str = "aws azure typespec kube k8s-openapi vaultrs rustify reqwest hyper h2 rustls";

/// A service that names one backend of `cred-config` builds no other one.
const NOT_VAULT: &str = "aws-config aws-sdk azure kube cred-store-aws cred-store-azure cred-store-k8s \
    cred-store-local cred-store-memory";

/// One package with its dependencies as cargo resolves them for this package alone.
struct Crate {
    name: String,
    /// Whether it is in `crates/`, where every package needs a rule.
    needs_rule: bool,
    rust_version: Option<Version>,
    /// Direct normal dependencies on our crates; optional ones end in `?`.
    arrows: Vec<String>,
    /// All normal dependencies with any feature on any platform, and the Rust version of each that
    /// counts for the promise.
    tree: Vec<(String, Option<Version>)>,
    /// The number of those in a build on Linux.
    weight: usize,
}

/// Prints the dependencies of every crate and downstream program, and fails on a broken rule.
pub(crate) fn run() -> Result<()> {
    let crates = read()?;
    println!("{}", overview(&crates));
    let found: Vec<String> = crates.iter().flat_map(findings).chain(stale(&crates)).collect();
    found.iter().for_each(|finding| println!("{finding}"));
    if found.is_empty() { Ok(()) } else { bail!("{} findings", found.len()) }
}

fn read() -> Result<Vec<Crate>> {
    let metadata = workspace::metadata()?;
    let key = |package: &Package| (package.name.to_string(), package.version.to_string());
    let needed: HashMap<_, _> =
        metadata.packages.iter().map(|package| (key(package), &package.rust_version)).collect();
    let mut samples = Vec::new();
    for folder in SAMPLES {
        samples.extend(workspace::members_of(folder)?);
    }
    samples.retain(|sample| rule(&sample.name).is_some());
    let mut crates = Vec::new();
    for package in metadata.workspace_packages().into_iter().chain(&samples) {
        let promised = match features_of_promise(package) {
            Some(features) => {
                let choice = ["--no-default-features", "--features", &features, "--target", "all"];
                Some(self::tree(package, &choice)?)
            }
            None => None,
        };
        let tree = tree(package, &EVERYTHING)?.into_iter().map(|key| {
            let is_promised = promised.as_ref().is_none_or(|promised| promised.contains(&key));
            let needed = needed.get(&key).copied().cloned().flatten().filter(|_| is_promised);
            (key.0, needed)
        });
        crates.push(Crate {
            name: package.name.to_string(),
            needs_rule: workspace::is_product(package),
            rust_version: package.rust_version.clone(),
            arrows: arrows(package),
            tree: tree.collect(),
            weight: self::tree(package, &LINUX)?.len(),
        });
    }
    Ok(crates)
}

/// The features for which `rust-version` is promised, where the manifest lists some that need a
/// newer Rust (`package.metadata.cred.newer-rust`). `None`: it is promised for all.
fn features_of_promise(package: &Package) -> Option<String> {
    let newer = package.metadata.pointer("/cred/newer-rust")?.as_array()?;
    let is_promised = |name: &&String| !newer.iter().any(|newer| newer == name.as_str());
    Some(package.features.keys().filter(is_promised).cloned().collect::<Vec<_>>().join(","))
}

/// Asks `cargo tree`: `cargo metadata` unifies the features of the whole workspace.
fn tree(package: &Package, choice: &[&str]) -> Result<BTreeSet<(String, String)>> {
    let mut command = cargo::cargo(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    command.args(["--format", "{p}", "--manifest-path", package.manifest_path.as_str()]).args(choice);
    let mut keys = keys(&cargo::output(&mut command)?);
    keys.remove(&(package.name.to_string(), package.version.to_string()));
    Ok(keys)
}

/// Reads name and version from lines such as `serde v1.0.2 (*)`.
fn keys(tree: &str) -> BTreeSet<(String, String)> {
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.trim_start_matches('v').to_owned()))
    };
    tree.lines().filter_map(key).collect()
}

fn arrows(package: &Package) -> Vec<String> {
    let is_arrow =
        |found: &&cargo_metadata::Dependency| found.kind == DependencyKind::Normal && found.path.is_some();
    let ours = package.dependencies.iter().filter(is_arrow);
    ours.map(|found| format!("{}{}", found.name, if found.optional { "?" } else { "" })).collect()
}

fn findings(one: &Crate) -> Vec<String> {
    let name = &one.name;
    let mut found = Vec::new();
    match rule(name) {
        Some((_, budget, arrows, never)) => {
            let allows = |arrow: &String| {
                arrows.split(' ').any(|allowed| allowed == arrow || format!("{allowed}?") == *arrow)
            };
            for arrow in one.arrows.iter().filter(|arrow| !allows(arrow)) {
                found.push(format!("{name} may not depend on {arrow}, only on: {arrows}"));
            }
            for (package, _) in one.tree.iter().filter(|(package, _)| is_in(package, never)) {
                found.push(format!("{name} may not bring {package} to its users"));
            }
            if one.weight > *budget {
                let weight = one.weight;
                found.push(format!(
                    "{name} needs {weight} packages; its budget in xtask/src/deps.rs is {budget}"
                ));
            }
        }
        None if one.needs_rule => found.push(format!("{name} has no rule in xtask/src/deps.rs; add one")),
        None => {}
    }
    let Some(promised) = &one.rust_version else {
        found.push(format!("{name} has no rust-version"));
        return found;
    };
    for (package, needed) in &one.tree {
        if let Some(needed) = needed.as_ref().filter(|needed| *needed > promised) {
            found.push(format!("{name} promises Rust {promised}, but {package} needs {needed}"));
        }
    }
    found
}

fn stale(crates: &[Crate]) -> Vec<String> {
    let is_stale = |rule: &&Rule| !crates.iter().any(|one| one.name == rule.0);
    let stale = RULES.iter().filter(is_stale);
    stale.map(|rule| format!("{} has a rule in xtask/src/deps.rs but does not exist", rule.0)).collect()
}

fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.0 == name)
}

/// Whether a package is in a family: `aws-config` and `aws` are in `aws`, `awsome` is not.
fn is_in(package: &str, families: &str) -> bool {
    let mut rests = families.split_whitespace().filter_map(|family| package.strip_prefix(family));
    rests.any(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

fn overview(crates: &[Crate]) -> String {
    let shown = |version: Option<&Version>| version.map_or("-".to_owned(), Version::to_string);
    let row = |one: &Crate| {
        let budget = rule(&one.name).map_or("-".to_owned(), |rule| rule.1.to_string());
        let needed = shown(one.tree.iter().filter_map(|(_, needed)| needed.as_ref()).max());
        let promised = shown(one.rust_version.as_ref());
        [one.name.clone(), one.weight.to_string(), budget, promised, needed, one.arrows.join(" ")]
    };
    let header = ["crate", "packages", "budget", "rust-version", "needed", "our crates (? = optional)"];
    table::render(header, &[1, 2, 3, 4], &crates.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, minor: u64) -> (String, Option<Version>) {
        (name.to_owned(), Some(Version::new(1, minor, 0)))
    }

    /// The findings on a crate that breaks no rule before the change.
    fn after(change: impl FnOnce(&mut Crate)) -> String {
        let mut one = Crate {
            name: "cred-manager".to_owned(),
            needs_rule: true,
            rust_version: Some(Version::new(1, 85, 0)),
            arrows: vec!["cred-core".to_owned(), "cred-crypto?".to_owned()],
            tree: vec![package("tokio", 71), package("awsome", 85)],
            weight: 66,
        };
        change(&mut one);
        findings(&one).join("\n")
    }

    #[test]
    fn each_rule_finds_its_violation() {
        assert_eq!(after(|_| {}), "");
        assert_eq!(after(|one| one.arrows[0] += "?"), "", "an optional dependency may become one");
        for arrow in ["cred-store-local", "cred-store-local?", "cred-crypto"] {
            let found = after(|one| one.arrows.push(arrow.to_owned()));
            assert_eq!(
                found,
                format!("cred-manager may not depend on {arrow}, only on: cred-core cred-crypto?")
            );
        }
        for name in ["rustls", "aws", "aws-config", "azure_core"] {
            let found = after(|one| one.tree.push(package(name, 71)));
            assert_eq!(found, format!("cred-manager may not bring {name} to its users"));
        }
        let found = after(|one| one.weight += 1);
        assert_eq!(found, "cred-manager needs 67 packages; its budget in xtask/src/deps.rs is 66");
        let found = after(|one| one.name = "cred-new".to_owned());
        assert_eq!(found, "cred-new has no rule in xtask/src/deps.rs; add one");
        assert_eq!(after(|one| (one.name, one.needs_rule) = ("xtask".to_owned(), false)), "");
        let found = after(|one| one.tree.push(package("new", 86)));
        assert_eq!(found, "cred-manager promises Rust 1.85.0, but new needs 1.86.0");
        assert_eq!(after(|one| one.rust_version = None), "cred-manager has no rust-version");
        assert_eq!(stale(&[]).len(), RULES.len());
    }

    #[test]
    fn a_rust_version_is_promised_without_the_features_that_need_a_newer_one() {
        let packages = workspace::members().unwrap();
        let package = |name: &str| packages.iter().find(|package| package.name.as_str() == name).unwrap();
        let features = features_of_promise(package("cred-config")).unwrap();
        assert!(features.contains("vault") && !features.contains("aws"), "{features}");
        assert_eq!(features_of_promise(package("cred-cli")), None);
    }

    #[test]
    fn a_tree_is_read_with_each_package_once() {
        let tree =
            "a v1.0.0 (some/where)\nserde v1.0.2\nserde_derive v1.0.2 (proc-macro)\nserde v1.0.2 (*)\n\n";
        let names: Vec<_> = keys(tree).into_iter().map(|(name, version)| name + " " + &version).collect();
        assert_eq!(names, ["a 1.0.0", "serde 1.0.2", "serde_derive 1.0.2"]);
    }
}
