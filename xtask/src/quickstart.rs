//! The tour that the README opens with.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cargo, workspace};

/// The tenant that the variables are stored for.
const SCOPE: &str = "org:acme/app:web";

/// Builds `cred` and runs the tour with an .env file, the sample where none is given.
pub(crate) fn run(env_file: Option<PathBuf>) -> Result<()> {
    let file = env_file.unwrap_or_else(|| workspace::root().join("examples/app.env"));
    // Before minutes of building.
    let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
    cargo::run(&mut cargo::cargo(["build", "--quiet", "--package", "cred-cli"]))?;
    tour(&file)
}

/// The tour with the sample, by the program that is built already.
pub(crate) fn of_built_program() -> Result<()> {
    tour(&workspace::root().join("examples/app.env"))
}

/// Goes through the first commands of `cred`, and prints no value. Key, store and `cred.toml` are in a
/// fresh temporary folder, which stays to be looked at.
fn tour(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let variable =
        first_variable(&text).with_context(|| format!("no NAME=value line in {}", file.display()))?;
    let program = workspace::metadata()?.target_directory.join("debug").join("cred");
    let folder = tempfile::Builder::new().prefix("cred-quickstart-").tempdir()?.keep();
    let (file, length) = (file.to_string_lossy(), format!("echo {variable} has ${{#{variable}}} characters"));
    for args in [
        &["init"][..],
        &["import", &file, "--scope", SCOPE],
        &["list"],
        &["run", "--scope", SCOPE, "--", "sh", "-c", &length],
        &["doctor"],
    ] {
        println!("\n$ cred {}", args.join(" "));
        let mut command = Command::new(program.with_extension(env::consts::EXE_EXTENSION));
        for name in ["CRED_CONFIG", "CRED_PROFILE", "CRED_LOG"] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", folder.join("config")).env("XDG_DATA_HOME", folder.join("data"));
        let status = command.args(args).current_dir(&folder).status().context("cannot start `cred`")?;
        if !status.success() {
            bail!("`cred {}` failed: {status}", args.join(" "));
        }
    }
    println!("\nOn the disk, sealed ({}):", folder.display());
    show(&folder, &folder)?;
    println!("\nThe folder stays, with the key beside the store: delete it when you have looked around.");
    Ok(())
}

/// The first variable, by the name that `cred run` gives it.
fn first_variable(text: &str) -> Option<String> {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.find_map(|line| {
        let name = line.split_once('=')?.0.trim_start_matches("export ").trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_uppercase())
    })
}

/// Prints every sealed file below `folder` with the beginning of its contents.
fn show(root: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            show(root, &path)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let begin = fs::read_to_string(&path)?.chars().take(80).collect::<String>();
            println!("  {}: {begin}...", path.strip_prefix(root)?.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_is_found() {
        assert_eq!(first_variable("# A=no\n\n$(x)=no\nexport First=1\nSECOND=2\n").unwrap(), "FIRST");
        assert!(first_variable("nothing\n").is_none());
    }
}
