//! Packing what would be published.

use std::env;

use anyhow::{Context, Result};

use crate::{cargo, workspace};

/// Packs every publishable crate and builds each from its archive alone: a file that is missing from an
/// archive, or a path that only works in the checkout, shows here and not at a user.
///
/// All go in one command: none of them needs to be on a registry yet, since cargo (1.90 or newer) lets the
/// archives find each other.
pub(crate) fn run() -> Result<()> {
    let mut args = vec!["package".to_owned(), "--workspace".to_owned()];
    for package in workspace::members()? {
        if !workspace::is_publishable(&package) {
            args.extend(["--exclude".to_owned(), package.name.to_string()]);
        }
    }
    // A person packs while working; a gate packs what is committed.
    if env::var_os("CI").is_none() {
        args.push("--allow-dirty".to_owned());
    }
    let mut pack = cargo::cargo(args);
    // Archives know nothing of the workspace's profiles, and nobody debugs what is built of them.
    pack.env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo::run(&mut pack).context("packing needs cargo 1.90 or newer, and a registry to resolve with")
}
