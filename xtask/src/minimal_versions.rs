//! Whether the versions that our manifests ask for are enough.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{cargo, workspace};

/// Entries of the checkout that are not of the sources, or are made anew.
const NOT_MIRRORED: [&str; 4] = ["Cargo.lock", "Cargo.toml", ".git", "target"];

/// Compiles libraries and programs with each of our own dependencies at the lowest version that a manifest allows. A build with
/// the lock file's, which are the newest, never notices that one is too low; a user's whose lock file is old does.
///
/// In a mirror of the checkout below the target folder, with a lock file of its own and what was compiled before.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let mirror = workspace::metadata()?.target_directory.join("minimal-versions").into_std_path_buf();
    fs::create_dir_all(&mirror).with_context(|| format!("cannot create {}", mirror.display()))?;
    refresh(&root, &mirror).with_context(|| format!("cannot mirror the checkout in {}", mirror.display()))?;

    let mut resolve = cargo::cargo(["generate-lockfile", "-Z", "direct-minimal-versions"]);
    // The resolver's choice is not stable yet. For this command alone: build scripts that see it take another way.
    resolve.env("RUSTC_BOOTSTRAP", "1").current_dir(&mirror);
    cargo::run(&mut resolve)
        .context("a dependency's lowest version is lower than another one needs: raise it")?;

    let mut check = cargo::cargo(["check", "--locked", "--workspace", "--all-features"]);
    check.arg("--target-dir").arg(mirror.join("target")).current_dir(&mirror);
    cargo::run(&mut check).context("our code needs a newer version of a dependency than its manifest says")
}

/// Links to the sources and a copy of the manifest. What is no more in the checkout goes.
fn refresh(root: &Path, mirror: &Path) -> Result<()> {
    for entry in fs::read_dir(mirror)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() {
            fs::remove_file(entry.path())?;
        }
    }
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if !NOT_MIRRORED.iter().any(|name| entry.file_name() == *name) {
            symlink(entry.path(), mirror.join(entry.file_name()))?;
        }
    }
    fs::copy(root.join("Cargo.toml"), mirror.join("Cargo.toml"))?;
    match fs::remove_file(mirror.join("Cargo.lock")) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_follows_the_checkout_and_keeps_what_was_compiled() {
        let folder = tempfile::tempdir().unwrap();
        let (root, mirror) = (folder.path().join("root"), folder.path().join("mirror"));
        for made in ["root/a", "root/b", "root/target", "mirror/target"] {
            fs::create_dir_all(folder.path().join(made)).unwrap();
        }
        fs::write(root.join("Cargo.toml"), "1").unwrap();
        fs::write(mirror.join("target/kept"), "").unwrap();
        refresh(&root, &mirror).unwrap();
        fs::write(mirror.join("Cargo.lock"), "").unwrap();
        fs::remove_dir(root.join("b")).unwrap();
        fs::write(root.join("Cargo.toml"), "2").unwrap();
        refresh(&root, &mirror).unwrap();
        let there = |name: &str| fs::symlink_metadata(mirror.join(name)).is_ok();
        assert!(there("a") && !there("b") && !there("Cargo.lock") && there("target/kept"));
        assert_eq!(fs::read_to_string(mirror.join("Cargo.toml")).unwrap(), "2");
    }
}
