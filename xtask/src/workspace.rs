//! The workspace as cargo sees it.

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
