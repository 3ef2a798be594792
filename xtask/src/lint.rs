//! Form and lints of the whole checkout, the workspaces in it that are not ours included.

use anyhow::{Context, Result};

use crate::{cargo, workspace};

/// Workspaces outside ours that the compiler looks at too: what others copy. Of the rest, the form alone.
const LINTED: [&str; 2] = ["examples/downstream", "examples/provider-redis"];

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

/// Each by itself, with its own lock file, which must fit: these are what their readers get.
pub(crate) fn clippy_outside() -> Result<()> {
    for folder in LINTED {
        let manifest = workspace::root().join(folder).join("Cargo.toml");
        let mut command =
            cargo::cargo(["clippy", "--locked", "--workspace", "--all-targets", "--manifest-path"]);
        lint(command.arg(&manifest)).with_context(|| {
            format!("in {folder}; where its lock file is stale, `cargo metadata` there mends it")
        })?;
    }
    clippy_fuzz()
}

/// The fuzz targets that need no SDK, on the stable toolchain, as the tool that builds them sees them: without this, they would break
/// where nobody looks.
fn clippy_fuzz() -> Result<()> {
    let manifest = workspace::root().join("fuzz/Cargo.toml");
    let mut command = cargo::cargo(["clippy", "--locked", "--all-targets", "--manifest-path"]);
    command.arg(manifest).env("RUSTFLAGS", "--cfg fuzzing");
    // Flags of its own: in the same folder, each would undo what the other has built.
    let target = workspace::metadata()?.target_directory.join("fuzz");
    // Nothing is linked, so that its runtime, which needs a C++ compiler, need not be there.
    command.env("CUSTOM_LIBFUZZER_PATH", target.join("libnone.a")).env("CARGO_TARGET_DIR", target);
    lint(&mut command)
}

fn lint(clippy: &mut std::process::Command) -> Result<()> {
    cargo::run(clippy.args(["--", "-D", "warnings"]))
}
