//! Packing what would be published.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use anyhow::{Context, Result};
use cargo_metadata::Package;

use crate::{cargo, workspace};

/// Packs every publishable crate and builds each from its archive alone: a file that is missing from an
/// archive, or a path that only works in the checkout, shows here and not at a user.
///
/// All go in one command: none of them needs to be on a registry yet, since cargo (1.90 or newer) lets the
/// archives find each other.
pub(crate) fn run() -> Result<()> {
    let metadata = workspace::metadata()?;
    let target = metadata.target_directory.join("packing").into_std_path_buf();
    let mut args = vec!["package".to_owned(), "--workspace".to_owned()];
    for package in workspace::members()? {
        if workspace::is_publishable(&package) {
            forget(&package, &target).with_context(|| format!("cannot forget {} as it was", package.name))?;
        } else {
            args.extend(["--exclude".to_owned(), package.name.to_string()]);
        }
    }
    // A person packs while working; a gate packs what is committed.
    if env::var_os("CI").is_none() {
        args.push("--allow-dirty".to_owned());
    }
    let mut pack = cargo::cargo(args);
    pack.arg("--target-dir").arg(target);
    // Archives know nothing of the workspace's profiles, and nobody debugs what is built of them.
    pack.env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo::run(&mut pack).context("packing needs cargo 1.90 or newer, and a registry to resolve with")
}

/// Cargo unpacks and compiles one version of a package from a registry once and for all, and the registry that it makes of the
/// archives is none of those in which a version never changes.
fn forget(package: &Package, target: &Path) -> io::Result<()> {
    for registry in entries(&cargo_home().join("registry/src"))? {
        // Only a registry without a host, as this one: its folder is the bare hash of its place.
        if name(&registry).starts_with('-') {
            remove(&registry.join(format!("{}-{}", package.name, package.version)))?;
        }
    }
    let compiled = entries(&target.join("debug/.fingerprint"))?;
    let ours = |entry: &&PathBuf| {
        let hash = name(entry).strip_prefix(package.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
        hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    compiled.iter().filter(ours).try_for_each(|entry| remove(entry))
}

fn cargo_home() -> PathBuf {
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
