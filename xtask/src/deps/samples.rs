//! Programs as somebody else would write them: what one backend brings to who uses no other.

use anyhow::{Context, Result};
use cargo_metadata::Package;

use super::graph::{MEASURED_ON, tree};
use super::{is_of, rules};
use crate::{table, workspace};

/// The workspace of the programs.
pub(super) const FOLDER: &str = "examples/downstream";

/// One program, with what it alone makes its author build.
pub(super) struct Sample {
    pub(super) rule: &'static rules::Sample,
    /// Names of packages, each as often as it has versions.
    pub(super) packages: Vec<String>,
    /// Those of the program on the bare SDK, where there is one.
    pub(super) bare: Option<Vec<String>>,
}

pub(super) fn read() -> Result<Vec<Sample>> {
    let members = workspace::members_of(FOLDER)?;
    let packages = |name: &str| packages(&members, name);
    let sample = |rule: &'static rules::Sample| {
        let bare = bare(rule).map(|name| packages(&name)).transpose()?;
        Ok(Sample { rule, packages: packages(rule.name)?, bare })
    };
    rules::SAMPLES.iter().map(sample).collect()
}

/// The name of the program on the bare SDK.
pub(super) fn bare(rule: &rules::Sample) -> Option<String> {
    (!rule.sdk.is_empty()).then(|| format!("bare-{}", rule.name))
}

fn packages(members: &[Package], name: &str) -> Result<Vec<String>> {
    let package = members.iter().find(|package| package.name.as_str() == name);
    let package = package.with_context(|| format!("{FOLDER} has no program {name}"))?;
    let tree = tree(package, &["--target", MEASURED_ON]);
    let tree =
        tree.with_context(|| format!("does the lock file fit? `cargo metadata` in {FOLDER} mends it"))?;
    Ok(tree.into_iter().map(|(name, _)| name).collect())
}

pub(super) fn findings(samples: &[Sample]) -> Vec<String> {
    samples.iter().flat_map(|sample| [weight(sample), strangers(sample), signs(sample)].concat()).collect()
}

fn weight(sample: &Sample) -> Vec<String> {
    let (name, count, budget) = (sample.rule.name, sample.packages.len(), sample.rule.budget);
    let message = || {
        format!(
            "{FOLDER}/{name} needs {count} packages, more than its budget of {budget}; shed some, or raise it"
        )
    };
    if count > budget { vec![message()] } else { Vec::new() }
}

/// Who uses one backend builds no other.
fn strangers(sample: &Sample) -> Vec<String> {
    let mut findings = Vec::new();
    for other in rules::SAMPLES.iter().filter(|other| other.name != sample.rule.name) {
        let store = store(other);
        let is_others =
            |package: &&String| **package == store || other.sdk.iter().any(|family| is_of(package, family));
        for package in sample.packages.iter().filter(is_others) {
            let name = sample.rule.name;
            findings.push(format!("{FOLDER}/{name} may not bring {package}, which is of {}", other.name));
        }
    }
    findings
}

/// What is never there is never found with others either.
fn signs(sample: &Sample) -> Vec<String> {
    let (name, store) = (sample.rule.name, store(sample.rule));
    let mut findings = Vec::new();
    if !sample.packages.contains(&store) {
        findings.push(format!("{FOLDER}/{name} does not use {store}"));
    }
    for family in sample.rule.sdk {
        let with = sample.bare.iter().chain([&sample.packages]);
        for _ in with.filter(|packages| !packages.iter().any(|package| is_of(package, family))) {
            findings
                .push(format!("no package of {FOLDER}/{name} is of `{family}`, by which its SDK is known"));
        }
    }
    findings
}

fn store(rule: &rules::Sample) -> String {
    format!("cred-store-{}", rule.name)
}

pub(super) fn overview(samples: &[Sample]) -> String {
    let row = |sample: &Sample| {
        let count = sample.packages.len();
        let (bare, more) = match &sample.bare {
            Some(bare) => (bare.len().to_string(), count.saturating_sub(bare.len()).to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        [sample.rule.name.to_owned(), count.to_string(), sample.rule.budget.to_string(), bare, more]
    };
    let header = ["program on", "packages", "budget", "on the bare SDK", "more"];
    table::render(header, &[1, 2, 3, 4], &samples.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program on Vault that breaks nothing.
    fn vault() -> Sample {
        let rule = rules::SAMPLES.iter().find(|rule| rule.name == "vault").unwrap();
        let packages = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Sample {
            rule,
            packages: packages(&["cred-store-vault", "vaultrs", "rustify", "aws-lc-rs"]),
            bare: Some(packages(&["vaultrs", "rustify"])),
        }
    }

    fn with(change: impl FnOnce(&mut Sample)) -> String {
        let mut sample = vault();
        change(&mut sample);
        findings(&[sample]).join("\n")
    }

    #[test]
    fn a_program_within_its_rules_passes() {
        assert_eq!(with(|_| {}), "");
    }

    #[test]
    fn another_backends_sdk_is_found() {
        for package in
            ["aws-sdk-sts", "azure_core", "typespec_client_core", "kube-client", "cred-store-local"]
        {
            let message = with(|sample| sample.packages.push(package.to_owned()));
            assert!(
                message.starts_with(&format!("examples/downstream/vault may not bring {package}")),
                "{message}"
            );
        }
    }

    #[test]
    fn too_many_packages_are_found() {
        let message = with(|sample| sample.packages.extend(vec!["serde".to_owned(); 1000]));
        assert!(message.contains("needs 1004 packages, more than its budget"), "{message}");
    }

    #[test]
    fn an_sdk_that_nobody_would_recognise_is_found() {
        let message = with(|sample| sample.packages.retain(|name| name != "rustify"));
        assert!(message.contains("is of `rustify`"), "{message}");
        let message = with(|sample| sample.bare = Some(Vec::new()));
        assert!(message.contains("is of `vaultrs`"), "{message}");
        assert!(
            with(|sample| sample.packages.retain(|name| name != "cred-store-vault")).contains("does not use")
        );
    }

    #[test]
    fn every_program_has_a_row_and_every_row_a_program() {
        let mut members: Vec<_> =
            workspace::members_of(FOLDER).unwrap().iter().map(|package| package.name.to_string()).collect();
        let rows = rules::SAMPLES.iter();
        let mut rows: Vec<_> =
            rows.flat_map(|rule| bare(rule).into_iter().chain([rule.name.to_owned()])).collect();
        members.sort();
        rows.sort();
        assert_eq!(members, rows);
    }
}
