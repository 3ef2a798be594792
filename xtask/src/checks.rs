//! Checks by other programs: formatting, lints, docs, dependencies, packing, versions.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::Package;

use crate::{cache, cargo, test, tools, workspace};

/// The name that `--allow-missing` takes for the database of [`advisories`].
pub(crate) const ADVISORY_DB: &str = "advisory-db";

/// The workspaces outside ours that the gate lints: authors of providers and services copy their
/// code.
const EXAMPLES: [&str; 2] = ["examples/provider-redis", test::EXAMPLE];
/// Those that only the nightly run lints. Each compiles every SDK again.
const OTHERS: [&str; 2] = ["examples/downstream", "benches/peers"];

/// Checks the formatting of all workspaces in the checkout.
pub(crate) fn format() -> Result<()> {
    cargo::run(&mut cargo::cargo(["fmt", "--all", "--check"]))?;
    for manifest in workspace::outside()? {
        cargo::run(cargo::cargo(["fmt", "--all", "--check", "--manifest-path"]).arg(&manifest))?;
    }
    Ok(())
}

pub(crate) fn clippy() -> Result<()> {
    lint(&mut cargo::cargo(["clippy", "--workspace", "--all-targets", "--all-features"]))
}

/// The example provider, the example service, and the fuzz targets that need no SDK, each with its
/// own lock file, which must match.
pub(crate) fn clippy_outside() -> Result<()> {
    EXAMPLES.iter().try_for_each(|folder| clippy_in(folder))?;
    clippy_fuzz(&[])
}

fn clippy_fuzz(features: &[&str]) -> Result<()> {
    let mut command = cargo::cargo(["clippy", "--locked", "--all-targets", "--manifest-path"]);
    command.arg(workspace::root().join("fuzz/Cargo.toml")).args(features).env("RUSTFLAGS", "--cfg fuzzing");
    // A separate folder: the flags differ, so each build would invalidate the other's.
    let target = workspace::metadata()?.target_directory.join("fuzz");
    // Nothing is linked, so libFuzzer's runtime, which needs a C++ compiler, is not built.
    command.env("CUSTOM_LIBFUZZER_PATH", target.join("libnone.a")).env("CARGO_TARGET_DIR", target);
    lint(&mut command)
}

fn clippy_in(folder: &str) -> Result<()> {
    let mut command = cargo::cargo(["clippy", "--locked", "--workspace", "--all-targets", "--manifest-path"]);
    lint(command.arg(workspace::root().join(folder).join("Cargo.toml"))).with_context(|| {
        format!("in {folder}; where its lock file is stale, `cargo metadata` there updates it")
    })
}

/// The last two lints are named here for workspaces without `[lints]`.
fn lint(clippy: &mut Command) -> Result<()> {
    let denied = ["warnings", "clippy::allow_attributes_without_reason", "clippy::ignore_without_reason"];
    clippy.arg("--").args(denied.iter().flat_map(|lint| ["-D", lint]));
    cargo::run(clippy)
}

/// Lints each published crate without its features and with each one alone, since a crate that
/// builds with all features may not build with one. Also lints the other workspaces.
pub(crate) fn features() -> Result<()> {
    for package in workspace::members()?.iter().filter(|package| workspace::is_published(package)) {
        for features in feature_choices(package) {
            let mut command = cargo::cargo(["clippy", "--package", &package.name, "--no-default-features"]);
            lint(command.args(["--features", &features]))?;
        }
    }
    OTHERS.iter().try_for_each(|folder| clippy_in(folder))?;
    clippy_fuzz(&["--all-features"])
}

/// No feature, and then each one alone. A crate whose manifest has
/// `package.metadata.cred.needs-a-feature`, with the reason, is not built without features. Empty
/// for a crate without features.
fn feature_choices(package: &Package) -> Vec<String> {
    let needs_one = package.metadata.pointer("/cred/needs-a-feature").is_some();
    let own: Vec<_> = package.features.keys().filter(|name| *name != "default").cloned().collect();
    let none = (!own.is_empty() && !needs_one).then(String::new);
    none.into_iter().chain(own).collect()
}

/// The documentation build. A broken link or a malformed example is an error.
pub(crate) fn docs() -> Result<()> {
    let mut command = cargo::cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    cargo::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The rules of `deny.toml` on packages, licences and registries.
pub(crate) fn deny() -> Result<()> {
    cargo::run(tools::cargo_deny()?.args(["check", "bans", "licenses", "sources"]))
}

/// Looks for vulnerable, unmaintained and yanked packages among the dependencies of the published
/// crates, or with `everywhere` in every lock file of the checkout. `Ok(false)`: the database
/// cannot be downloaded.
pub(crate) fn advisories(everywhere: bool) -> Result<bool> {
    if let Err(error) = cargo::run(tools::cargo_deny()?.args(["fetch", "db"])) {
        println!("{error:#}");
        return Ok(false);
    }
    let mut published = tools::cargo_deny()?;
    if !everywhere {
        published.args(without_unpublished()?).arg("--exclude-dev");
    }
    cargo::run(published.args(["check", "advisories"]))?;
    let outside = if everywhere { workspace::outside()? } else { Vec::new() };
    for manifest in outside {
        let mut deny = tools::cargo_deny()?;
        deny.arg("--manifest-path").arg(&manifest).arg("--config").arg(workspace::root().join("deny.toml"));
        cargo::run(deny.args(["check", "advisories"]))?;
    }
    Ok(true)
}

/// Arguments that exclude the unpublished packages from a cargo command.
fn without_unpublished() -> Result<Vec<String>> {
    let members = workspace::members()?;
    let unpublished = members.iter().filter(|package| !workspace::is_published(package));
    Ok(unpublished.flat_map(|package| ["--exclude".to_owned(), package.name.to_string()]).collect())
}

/// Packs every published crate. With `verify`, also builds each from its archive alone, which fails
/// if a file is missing from the archive or a path exists only in the checkout.
///
/// All go in one command: cargo (1.90 or newer) lets the archives find each other.
pub(crate) fn package(verify: bool) -> Result<()> {
    let target = workspace::metadata()?.target_directory.join("packing").into_std_path_buf();
    let mut pack = cargo::cargo(["package", "--workspace", "--target-dir"]);
    pack.arg(&target);
    pack.args(without_unpublished()?);
    // A developer packs uncommitted work; the gate packs commits only.
    if env::var_os("CI").is_none() {
        pack.arg("--allow-dirty");
    }
    if verify {
        forget_packed(&target)?;
    } else {
        pack.arg("--no-verify");
    }
    cargo::run(&mut pack).context("packing needs cargo 1.90 or newer, and a registry to resolve with")
}

/// Cargo unpacks and compiles a version of a package only once, but an archive of ours changes
/// without a new version.
fn forget_packed(target: &Path) -> Result<()> {
    cache::remove_folder(target)?;
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    let unpacked = env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from).join("registry/src");
    if unpacked.is_dir() {
        for entry in fs::read_dir(unpacked)? {
            let entry = entry?;
            // The registry of the archives has no host: the name of its folder is a bare hash.
            if entry.file_name().to_string_lossy().starts_with('-') {
                cache::remove_folder(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Compares the public API of every published crate with that of the last tag `vX.Y.Z` before this
/// commit. Without a tag, it prints that it compared nothing.
pub(crate) fn semver() -> Result<()> {
    let mut list = Command::new("git");
    list.current_dir(workspace::root());
    list.args(["tag", "--merged", "HEAD", "--list", "v[0-9]*", "--sort=-version:refname"]);
    let tags = cargo::output(&mut list)?;
    let Some(tag) = tags.lines().next() else {
        println!("semver: no tag v* exists, so nothing was published; nothing was compared");
        return Ok(());
    };
    let mut check = tools::cargo_semver_checks()?;
    check.args(["semver-checks", "--workspace", "--baseline-rev", tag]);
    check.args(without_unpublished()?);
    cargo::run(&mut check)
}

/// Compiles the last commit with each direct dependency at the lowest version that a manifest
/// allows. A build with the newest versions cannot find a bound that is too low; a user with an old
/// lock file can.
pub(crate) fn minimal_versions() -> Result<()> {
    let folder = workspace::metadata()?.target_directory.join("minimal-versions").into_std_path_buf();
    let checkout = folder.join("checkout");
    cache::remove_folder(&checkout)?;
    let mut clone = Command::new("git");
    cargo::run(clone.args(["clone", "--quiet"]).arg(workspace::root()).arg(&checkout))?;
    fs::remove_file(checkout.join("Cargo.lock"))?;

    let mut resolve = cargo::cargo(["generate-lockfile", "-Z", "direct-minimal-versions"]);
    // The option is unstable. Set for this command only: the variable changes how some build
    // scripts behave.
    resolve.env("RUSTC_BOOTSTRAP", "1").current_dir(&checkout);
    cargo::run(&mut resolve)
        .context("a dependency's lowest version is lower than another one needs: raise it")?;

    let mut check = cargo::cargo(["check", "--locked", "--workspace", "--all-features"]);
    check.arg("--target-dir").arg(folder.join("target")).current_dir(&checkout);
    cargo::run(&mut check)
        .context("our code needs a newer version of a dependency than its manifest requires")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_linted_alone_and_a_crate_also_without_any() {
        let packages = workspace::members().unwrap();
        let package = |name: &str| packages.iter().find(|package| package.name.as_str() == name).unwrap();
        assert_eq!(feature_choices(package("cred-manager")), ["", "crypto", "metrics"]);
        assert_eq!(feature_choices(package("cred-store-k8s")), ["default-kubernetes-version"]);
        assert!(feature_choices(package("cred-core")).is_empty());
    }
}
