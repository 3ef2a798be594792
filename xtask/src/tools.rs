//! The tools that the gate needs beyond the toolchain, pinned and cached.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{cache, cargo};

const CARGO_DENY: Tool = tool("cargo-deny", "0.20.2");
const CARGO_FUZZ: Tool = tool("cargo-fuzz", "0.13.2");
/// Without its server, which nothing here uses.
const MDBOOK: Tool = Tool { features: Some("search"), ..tool("mdbook", "0.5.4") };
const CARGO_SEMVER_CHECKS: Tool = tool("cargo-semver-checks", "0.51.0");

pub(crate) fn run() -> Result<()> {
    for tool in [CARGO_DENY, MDBOOK] {
        println!("{}", tool.installed()?.display());
    }
    Ok(())
}

/// `cargo deny`, installed first where it is missing.
pub(crate) fn cargo_deny() -> Result<Command> {
    Ok(Command::new(CARGO_DENY.installed()?))
}

/// `mdbook`, installed first where it is missing.
pub(crate) fn mdbook() -> Result<Command> {
    Ok(Command::new(MDBOOK.installed()?))
}

/// `cargo fuzz`, installed first where it is missing. Only `cargo xtask fuzz` needs it.
pub(crate) fn cargo_fuzz() -> Result<Command> {
    Ok(Command::new(CARGO_FUZZ.installed()?))
}

/// `cargo semver-checks`, installed first where it is missing. Only needed once a tag exists.
pub(crate) fn cargo_semver_checks() -> Result<Command> {
    Ok(Command::new(CARGO_SEMVER_CHECKS.installed()?))
}

struct Tool {
    name: &'static str,
    version: &'static str,
    /// `None`: the default features.
    features: Option<&'static str>,
}

const fn tool(name: &'static str, version: &'static str) -> Tool {
    Tool { name, version, features: None }
}

impl Tool {
    /// The path of the program. The first call on a machine builds it, which takes minutes.
    fn installed(&self) -> Result<PathBuf> {
        let home = cache::folder()?.join("tools").join(format!("{}-{}", self.name, self.version));
        let program = format!("bin/{}{}", self.name, env::consts::EXE_SUFFIX);
        cache::made(&home, Path::new(&program), |building| self.install(building, &home))
    }

    fn install(&self, building: &Path, home: &Path) -> Result<()> {
        let exact = format!("{}@{}", self.name, self.version);
        let mut command = cargo::cargo(["install", "--locked", "--root"]);
        command.arg(building).arg("--target-dir").arg(building.join("target")).arg(&exact);
        if let Some(features) = self.features {
            command.args(["--no-default-features", "--features", features]);
        }
        // Build settings of the project's run must not leak into the tool.
        command.current_dir(building).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
        println!("installing {exact} into {} (once for this machine)", home.display());
        cargo::run(&mut command)?;
        cache::remove_folder(&building.join("target"))
    }
}
