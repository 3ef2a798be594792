//! The documentation build.

use anyhow::Result;

use crate::cargo;

/// A broken link or a malformed example in the docs is an error: nobody reads a warning in a log.
pub(crate) fn run() -> Result<()> {
    let mut command = cargo::cargo(["doc", "--workspace", "--no-deps", "--all-features"]);
    cargo::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
