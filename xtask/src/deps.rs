//! Who may depend on whom, how heavy each crate may be, and whether its `rust-version` is honest.

mod builds;
mod graph;
mod rules;
mod samples;

use anyhow::{Result, bail};

use self::graph::{Crate, Graph};
use crate::table;

/// Checks all rules on the crates in `crates/` and on the programs of `examples/downstream`, and prints both as tables.
pub(crate) fn run() -> Result<()> {
    let graph = Graph::read()?;
    println!("{}", overview(&graph));
    let samples = samples::read()?;
    println!("{}", samples::overview(&samples));
    let mut findings = findings(&graph);
    findings.extend(samples::findings(&samples));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    Ok(())
}

/// Builds each program of `examples/downstream` by itself, or those on these backends, and prints how long it took and how large it
/// became, beside the bare SDK's.
pub(crate) fn build(backends: &[String]) -> Result<()> {
    println!("{}", builds::measured(backends)?);
    Ok(())
}

fn findings(graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for one in &graph.crates {
        if one.in_product {
            findings.extend(arrows(one, graph));
            findings.extend(weight(one));
            findings.extend(one_user_of_ring(one));
            findings.extend(nothing_twice(one));
        }
        findings.extend(honest_rust_version(one));
    }
    findings.extend(nothing_forbidden(graph));
    findings.extend(nothing_turned_on(graph));
    findings
}

/// The design's table of crates: an arrow that is not in it is a decision that nobody took.
fn arrows(one: &Crate, graph: &Graph) -> Vec<String> {
    let Some(rule) = rules::rule(&one.name) else {
        return vec![format!(
            "{} has no row in xtask/src/deps/rules.rs; add its arrows and its budget",
            one.name
        )];
    };
    let mut findings = Vec::new();
    for arrow in &one.direct {
        if !graph.crates.iter().any(|other| other.name == arrow.name) {
            continue; // not ours
        }
        let allowed = rule.arrows.contains(&arrow.name.as_str());
        let allowed_if_optional = rule.optional.contains(&arrow.name.as_str());
        if allowed_if_optional && !arrow.optional {
            findings
                .push(format!("{} depends on {} always; it may only behind a feature", one.name, arrow.name));
        } else if !allowed && !allowed_if_optional {
            findings.push(format!("{} may not depend on {}", one.name, arrow.name));
        }
    }
    for unwanted in rule.without {
        for package in one.tree.iter().filter(|package| is_of(&package.name, unwanted)) {
            findings.push(format!("{} may not bring {} to its users", one.name, package.name));
        }
    }
    for unwanted in rule.default_without {
        for name in one.by_default.iter().filter(|name| is_of(name, unwanted)) {
            findings.push(format!(
                "{} may bring {name} behind a feature only, and it is there by default",
                one.name
            ));
        }
    }
    findings
}

/// Every package is one more that our users trust and build.
fn weight(one: &Crate) -> Vec<String> {
    let (weight, budget) = (one.weight, rules::rule(&one.name).map_or(usize::MAX, |rule| rule.budget));
    let message = || {
        format!(
            "{} needs {weight} packages, more than its budget of {budget}; shed some, or raise it",
            one.name
        )
    };
    if weight > budget { vec![message()] } else { Vec::new() }
}

/// One crate of ours holds all cryptography, so that one crate is to be reviewed for it.
fn one_user_of_ring(one: &Crate) -> Vec<String> {
    let uses = one.direct.iter().any(|arrow| arrow.name == "ring");
    let message = || format!("{} may not use ring itself; cred-crypto is its only user", one.name);
    if uses && one.name != "cred-crypto" { vec![message()] } else { Vec::new() }
}

/// Two versions of these are two stacks side by side, and nobody sees which of them a connection takes.
fn nothing_twice(one: &Crate) -> Vec<String> {
    let versions = |name: &str| one.tree.iter().filter(|package| package.name == name).count();
    let twice = rules::ONCE.iter().filter(|(name, _)| versions(name) > 1);
    twice.map(|(name, why)| format!("{} may not bring two versions of {name}: {why}", one.name)).collect()
}

/// A crate that promises a Rust that its dependencies don't build with breaks at its users.
fn honest_rust_version(one: &Crate) -> Vec<String> {
    let Some(promised) = one.rust_version else {
        return vec![format!("{} has no rust-version", one.name)];
    };
    let newer = one.tree.iter().filter(|package| package.rust_version > Some(promised));
    let message = |package: &graph::Dependency| {
        let [needed, promised] = [package.rust_version, Some(promised)].map(shown);
        format!("{} promises Rust {promised}, but {} needs {needed}", one.name, package.name)
    };
    newer.map(message).collect()
}

/// The lock file holds the whole workspace for every platform and feature.
fn nothing_forbidden(graph: &Graph) -> Vec<String> {
    let found = graph.locked.iter().filter(|name| rules::NOWHERE.iter().any(|(banned, _)| banned == name));
    found.map(|name| format!("{name} may not be anywhere in the tree")).collect()
}

/// Features are shared by all who use a package, so one crate's choice is everybody's.
fn nothing_turned_on(graph: &Graph) -> Vec<String> {
    let is_on = |(package, feature, _): &&(&str, &str, &str)| {
        graph.features.contains(&((*package).to_owned(), (*feature).to_owned()))
    };
    let found = rules::OFF.iter().filter(is_on);
    found
        .map(|(package, feature, why)| format!("{package} may not have its feature `{feature}`: {why}"))
        .collect()
}

/// `aws-config` is of `aws`, as `azure_core` is of `azure` and as is a package of just that name; `awsome` is not.
fn is_of(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

fn overview(graph: &Graph) -> String {
    let row = |one: &Crate| {
        let ours =
            one.direct.iter().filter(|arrow| graph.crates.iter().any(|other| other.name == arrow.name));
        let ours =
            ours.map(|arrow| if arrow.optional { format!("{}?", arrow.name) } else { arrow.name.clone() });
        let budget = rules::rule(&one.name).map_or("-".to_owned(), |rule| rule.budget.to_string());
        let ours = ours.collect::<Vec<_>>().join(" ");
        let newest = one.tree.iter().filter_map(|package| package.rust_version).max();
        [one.name.clone(), one.weight.to_string(), budget, shown(one.rust_version), shown(newest), ours]
    };
    let header = ["crate", "packages", "budget", "rust-version", "needed", "of ours (? = optional)"];
    table::render(header, &[1, 2, 3, 4], &graph.crates.iter().map(row).collect::<Vec<_>>())
}

fn shown(version: Option<(u64, u64, u64)>) -> String {
    version.map_or("-".to_owned(), |(major, minor, patch)| match patch {
        0 => format!("{major}.{minor}"),
        _ => format!("{major}.{minor}.{patch}"),
    })
}

#[cfg(test)]
mod tests;
