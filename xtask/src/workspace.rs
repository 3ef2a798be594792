//! The workspace as cargo sees it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The root of the checkout: xtask stands directly in it.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every package of the dependency graph, with ours among them.
pub(crate) fn metadata() -> Result<Metadata> {
    command().exec().context("cannot read the workspace with `cargo metadata`")
}

/// Our packages alone, which asks no registry.
pub(crate) fn members() -> Result<Vec<Package>> {
    let metadata = command().no_deps().exec().context("cannot read the workspace with `cargo metadata`")?;
    Ok(metadata.packages)
}

/// The packages of a workspace in a folder of the checkout that is not part of ours.
pub(crate) fn members_of(folder: &str) -> Result<Vec<Package>> {
    let manifest = root().join(folder).join("Cargo.toml");
    let mut command = MetadataCommand::new();
    let metadata = command.manifest_path(&manifest).no_deps().exec();
    Ok(metadata
        .with_context(|| format!("cannot read {} with `cargo metadata`", manifest.display()))?
        .packages)
}

/// The manifests of the workspaces in folders of the checkout that are not part of ours: those that our manifest excludes.
pub(crate) fn outside() -> Result<Vec<PathBuf>> {
    let path = root().join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let folders = excluded(&text).context("Cargo.toml has no line `exclude = [...]`")?;
    Ok(folders.into_iter().map(|folder| root().join(folder).join("Cargo.toml")).collect())
}

/// From the line `exclude = ["a", "b"]`, which cargo has no command to ask for.
fn excluded(manifest: &str) -> Option<Vec<&str>> {
    let list = manifest.lines().find_map(|line| line.strip_prefix("exclude = [")?.strip_suffix(']'))?;
    Some(list.split('"').skip(1).step_by(2).collect())
}

/// `publish = false` arrives as an empty list of registries.
pub(crate) fn is_publishable(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// Whether the package stands in `crates/`, where the rules of the design bind.
pub(crate) fn is_product(package: &Package) -> bool {
    package.manifest_path.starts_with(root().join("crates").to_string_lossy().as_ref())
}

fn command() -> MetadataCommand {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_our_manifest_excludes() {
        let manifest = "[workspace]\nmembers = [\"a\"]\nexclude = [\"b/c\", \"d\"]\n";
        assert_eq!(excluded(manifest), Some(vec!["b/c", "d"]));
        assert_eq!(excluded("[workspace]\n"), None);
    }

    #[test]
    fn every_workspace_outside_is_there() {
        let outside = outside().unwrap();
        assert!(outside.iter().any(|manifest| manifest.ends_with("examples/downstream/Cargo.toml")));
        assert!(outside.iter().all(|manifest| manifest.is_file()), "{outside:?}");
    }
}
