//! Whether what is about to be published breaks what was.

use std::process::Command;

use anyhow::Result;

use crate::{cargo, tools, workspace};

/// Compares the public API of every publishable crate with that of the last tag `vX.Y.Z` before this commit. Where there is
/// none, nothing was published, and it says so.
pub(crate) fn run() -> Result<()> {
    let mut list = Command::new("git");
    list.current_dir(workspace::root());
    list.args(["tag", "--merged", "HEAD", "--list", "v[0-9]*", "--sort=-version:refname"]);
    let tags = cargo::output(&mut list)?;
    let Some(tag) = tags.lines().next() else {
        println!(
            "semver: there is no tag v*, so nothing was published that could be broken; nothing was compared"
        );
        return Ok(());
    };
    let mut check = tools::cargo_semver_checks()?;
    check.args(["semver-checks", "--workspace", "--baseline-rev", tag]);
    for package in workspace::members()?.iter().filter(|package| !workspace::is_publishable(package)) {
        check.args(["--exclude", &package.name]);
    }
    cargo::run(&mut check)
}
