//! The demo that the README describes.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::{cargo, workspace};

/// The tenant that the variables are stored for.
const SCOPE: &str = "org:acme/app:web";
/// Prints the length of a value of the sample.
const LENGTH: &str = "echo DATABASE_URL has ${#DATABASE_URL} characters";

/// Builds `cred` and runs its first commands with a sample, printing no value. Key, store and
/// `cred.toml` are in a new temporary folder, which is not deleted.
pub(crate) fn run() -> Result<()> {
    cargo::run(&mut cargo::cargo(["build", "--quiet", "--package", "cred-cli"]))?;
    of_built_program()
}

/// The same with the program that is already built.
pub(crate) fn of_built_program() -> Result<()> {
    let sample = workspace::root().join("examples/app.env").to_string_lossy().into_owned();
    let program = workspace::metadata()?.target_directory.join("debug/cred");
    let folder = tempfile::Builder::new().prefix("cred-quickstart-").tempdir()?.keep();
    for args in [
        &["init"][..],
        &["import", &sample, "--scope", SCOPE],
        &["list"],
        &["run", "--scope", SCOPE, "--", "sh", "-c", LENGTH],
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
    println!("\nThe folder is not deleted. It has the key beside the store: delete it when you are done.");
    Ok(())
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
