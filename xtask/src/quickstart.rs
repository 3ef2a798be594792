//! The tour that the README opens with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{cargo, workspace};

/// Builds `cred` and goes through its first commands with an .env file, and prints no value of it. Key, store and `cred.toml` are in
/// a fresh temporary folder, so nothing needs to be set up before; it stays, to be looked at.
pub(crate) fn run(env_file: Option<PathBuf>) -> Result<()> {
    let file = env_file.unwrap_or_else(|| workspace::root().join("examples/app.env"));
    let file = existing(&file)?;
    let folder = tempfile::Builder::new().prefix("cred-quickstart-").tempdir()?.keep();
    let variable = first_variable(&file)?;
    let file = file.to_string_lossy().into_owned();
    let length = format!("echo {variable} has ${{#{variable}}} characters");
    for args in [
        &["init"][..],
        &["import", &file, "--scope", SCOPE],
        &["list"],
        &["run", "--scope", SCOPE, "--", "sh", "-c", &length],
        &["doctor"],
    ] {
        println!("\n$ cred {}", args.join(" "));
        cred(args, &folder)?;
    }
    println!("\nOn the disk, sealed ({}):", folder.display());
    show(&folder, &folder)?;
    println!("\nThe folder stays, with the key beside the store: delete it when you have looked around.");
    Ok(())
}

/// The tenant that the variables are stored for.
const SCOPE: &str = "org:acme/app:web";

/// Runs the program as somebody who has this folder and no other.
fn cred(args: &[&str], folder: &Path) -> Result<()> {
    let manifest = workspace::root().join("Cargo.toml");
    let mut command = cargo::cargo(["run", "--quiet", "--package", "cred-cli", "--manifest-path"]);
    command.arg(manifest).arg("--").args(args).current_dir(folder);
    for name in ["CRED_CONFIG", "CRED_PROFILE", "CRED_LOG"] {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("XDG_DATA_HOME", folder.join("data"));
    match command.status()? {
        status if status.success() => Ok(()),
        status => bail!("`cred {}` failed: {status}", args.join(" ")),
    }
}

/// The first variable, by the name that `cred run` gives it.
fn first_variable(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)?;
    let name = |line: &str| {
        let name = line.split_once('=')?.0.trim_start_matches("export ").trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_uppercase())
    };
    let first = text.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(name);
    first.with_context(|| format!("{} has no NAME=value line", file.display()))
}

/// Prints every sealed file below `folder` with the beginning of what it holds.
fn show(root: &Path, folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            show(root, &path)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let held = std::fs::read_to_string(&path)?.chars().take(80).collect::<String>();
            println!("  {}: {held}...", path.strip_prefix(root)?.display());
        }
    }
    Ok(())
}

/// The absolute path of a file that is there, so that a typo is answered before minutes of building.
fn existing(file: &Path) -> Result<PathBuf> {
    let path = file.canonicalize().with_context(|| {
        format!("cannot find the .env file {}; give a file of NAME=value lines", file.display())
    })?;
    if !path.is_file() {
        bail!("{} is not a file; give a file of NAME=value lines", path.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = existing(Path::new("no-such.env")).unwrap_err().to_string();
        assert!(error.contains("no-such.env"), "{error}");
    }

    #[test]
    fn the_first_variable_is_read_back() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# A=no\n\n$(x)=no\nexport First=1\nSECOND=2\n").unwrap();
        assert_eq!(first_variable(file.path()).unwrap(), "FIRST");
        std::fs::write(file.path(), "nothing\n").unwrap();
        assert!(first_variable(file.path()).is_err());
    }

    #[test]
    fn a_folder_is_refused() {
        assert!(existing(&workspace::root()).is_err());
    }

    #[test]
    fn the_sample_is_there_and_its_values_are_plainly_fake() {
        let sample = std::fs::read_to_string(workspace::root().join("examples/app.env")).unwrap();
        for line in sample.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap();
            assert!(value.contains("fake"), "{name} could be taken for a real value");
        }
    }
}
