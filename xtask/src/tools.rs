//! The tools that the gate needs beyond the toolchain, pinned and cached.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo;

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

pub(crate) fn run() -> Result<()> {
    println!("{}", CARGO_DENY.installed()?.display());
    Ok(())
}

/// `cargo deny`, installed first where it is missing.
pub(crate) fn cargo_deny() -> Result<Command> {
    Ok(Command::new(CARGO_DENY.installed()?))
}

struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    /// The path of the program. The first call on a machine builds it, which takes minutes.
    ///
    /// The cache stands outside `target/`, so that `cargo clean` and a fresh clone keep it. A folder appears
    /// there whole or not at all: the build goes to a temporary one that is renamed at the end, under a lock,
    /// so that two runs at once build it once and a killed one leaves nothing that looks installed.
    fn installed(&self) -> Result<PathBuf> {
        let tools = cache_folder(|name| env::var_os(name))?.join("tools");
        let home = tools.join(format!("{}-{}", self.name, self.version));
        let program = home.join("bin").join(format!("{}{}", self.name, env::consts::EXE_SUFFIX));
        if program.is_file() {
            return Ok(program);
        }
        fs::create_dir_all(&tools).with_context(|| format!("cannot create {}", tools.display()))?;
        let lock_path = tools.join(format!(".{}.lock", self.name));
        let lock_file = File::options().create(true).append(true).open(&lock_path);
        let lock_file = lock_file.with_context(|| format!("cannot open {}", lock_path.display()))?;
        let mut lock = fd_lock::RwLock::new(lock_file);
        let _held = lock.write().with_context(|| format!("cannot lock {}", lock_path.display()))?;
        if !program.is_file() {
            self.install(&tools, &home)?;
        }
        Ok(program)
    }

    fn install(&self, tools: &Path, home: &Path) -> Result<()> {
        let building = tools.join(format!(".building-{}", self.name));
        remove_folder(&building)?; // of a run that was killed: this one holds the lock
        let exact = format!("{}@{}", self.name, self.version);
        let mut command = cargo::cargo(["install", "--locked", "--root"]);
        command.arg(&building).arg("--target-dir").arg(building.join("target")).arg(&exact);
        // Build settings of the project's run must not leak into the tool.
        command.current_dir(tools).env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
        println!("installing {exact} into {} (once for this machine)", home.display());
        cargo::run(&mut command)?;
        remove_folder(&building.join("target"))?;
        remove_folder(home)?; // without the program, or we would not be here
        fs::rename(&building, home).with_context(|| format!("cannot move {exact} to {}", home.display()))
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// `$CRED_CACHE_DIR`, else `$XDG_CACHE_HOME/cred`, else `$HOME/.cache/cred`; an empty variable counts as unset.
fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("CRED_CACHE_DIR")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("cred")))
        .or_else(|| Some(folder("HOME")?.join(".cache").join("cred")))
        .context("no folder for tools: set CRED_CACHE_DIR, XDG_CACHE_HOME or HOME")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(variables: &[(&str, &str)]) -> Option<PathBuf> {
        cache_folder(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
            .ok()
    }

    #[test]
    fn the_most_specific_variable_wins() {
        let all = [("CRED_CACHE_DIR", "a"), ("XDG_CACHE_HOME", "b"), ("HOME", "c")];
        assert_eq!(folder_with(&all), Some(PathBuf::from("a")));
        assert_eq!(folder_with(&all[1..]), Some(PathBuf::from("b/cred")));
        assert_eq!(folder_with(&all[2..]), Some(PathBuf::from("c/.cache/cred")));
        assert_eq!(folder_with(&[]), None);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(
            folder_with(&[("CRED_CACHE_DIR", ""), ("HOME", "c")]),
            Some(PathBuf::from("c/.cache/cred"))
        );
    }
}
