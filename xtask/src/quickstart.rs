//! The tour that the README opens with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{cargo, workspace};

/// Builds and runs the manager's `quickstart` example on an .env file. The example keeps its store in a
/// fresh temporary folder, so nothing needs to be set up before or cleaned up after.
pub(crate) fn run(env_file: Option<PathBuf>) -> Result<()> {
    let file = env_file.unwrap_or_else(|| workspace::root().join("examples/app.env"));
    let file = existing(&file)?;
    let args = ["run", "--quiet", "--package", "cred-manager", "--example", "quickstart", "--"];
    cargo::run(cargo::cargo(args).arg(file))
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
