//! The workspace as cargo sees it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use toml_edit::{DocumentMut, Item};

/// The root of the checkout, the parent of xtask's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every package of the dependency graph, with ours among them.
pub(crate) fn metadata() -> Result<Metadata> {
    command().exec().context("cannot read the workspace with `cargo metadata`")
}

/// Our packages alone, without a request to a registry.
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

/// The manifests of the other workspaces in the checkout: our manifest excludes their folders.
pub(crate) fn outside() -> Result<Vec<PathBuf>> {
    let path = root().join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = text.parse().with_context(|| format!("cannot parse {}", path.display()))?;
    let folders = setting(&manifest, "workspace.exclude").and_then(Item::as_array);
    let folders = folders.context("Cargo.toml has no list `workspace.exclude`")?;
    Ok(folders
        .iter()
        .filter_map(|folder| folder.as_str())
        .map(|folder| root().join(folder).join("Cargo.toml"))
        .collect())
}

/// A value that `cargo metadata` does not report, by its path, such as `lints.workspace`.
pub(crate) fn setting<'a>(manifest: &'a DocumentMut, path: &str) -> Option<&'a Item> {
    path.split('.').try_fold(manifest.as_item(), |item, key| item.get(key))
}

/// `publish = false` arrives as an empty list of registries.
pub(crate) fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// Whether the package is in `crates/`, to which the rules of the design apply.
pub(crate) fn is_product(package: &Package) -> bool {
    package.manifest_path.starts_with(root().join("crates").to_string_lossy().as_ref())
}

fn command() -> MetadataCommand {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    command
}
