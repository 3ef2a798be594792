//! The files of the checkout, held in memory, so that a test can make a tree of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Build output, git's own files, and what fuzzers found: not ours to judge.
const SKIPPED: [&str; 4] = ["target", ".git", "corpus", "artifacts"];

/// Paths from the root, with `/`, and the text of each file. A file that is not text has an empty one.
pub(super) struct Tree(BTreeMap<String, String>);

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        walk(root, "", &mut files)?;
        Ok(Self(files))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// All Rust sources, tests, examples and chores.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The product's sources: `crates/*/src/**.rs`.
    pub(super) fn product(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rust().filter(|(path, _)| {
            let mut parts = path.split('/');
            parts.next() == Some("crates") && parts.nth(1) == Some("src")
        })
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The folders in `crates/`, as `crates/NAME`.
    pub(super) fn crates(&self) -> Vec<&str> {
        let mut folders: Vec<&str> = self.files().filter_map(|(path, _)| crate_folder(path)).collect();
        folders.dedup(); // paths are sorted
        folders
    }

    /// The folder of the package with this name, wherever it stands.
    pub(super) fn package(&self, name: &str) -> Option<&str> {
        let line = format!("name = \"{name}\"");
        let mut manifests = self.files().filter(|(path, _)| path.ends_with("/Cargo.toml"));
        let (path, _) = manifests.find(|(_, text)| text.lines().any(|found| found.trim() == line))?;
        path.strip_suffix("/Cargo.toml")
    }
}

fn crate_folder(path: &str) -> Option<&str> {
    let end = path.strip_prefix("crates/")?.find('/')? + "crates/".len();
    path.get(..end)
}

fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let Some(name) = name.to_str().filter(|name| !SKIPPED.contains(name)) else { continue };
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if kind.is_dir() {
            walk(&entry.path(), &path, files)?;
        } else if kind.is_file() {
            files.insert(path, fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_product_from_the_rest() {
        let tree =
            Tree::of(&[("crates/a/src/x/y.rs", ""), ("crates/a/tests/t.rs", ""), ("xtask/src/main.rs", "")]);
        assert_eq!(tree.product().map(|(path, _)| path).collect::<Vec<_>>(), ["crates/a/src/x/y.rs"]);
        assert_eq!(tree.rust().count(), 3);
    }

    #[test]
    fn finds_crates_and_packages() {
        let tree = Tree::of(&[
            ("crates/a/Cargo.toml", "[package]\nname = \"the-a\"\n"),
            ("crates/a/src/lib.rs", ""),
            ("crates/b/README.md", ""),
            ("crates/stray.md", ""),
        ]);
        assert_eq!(tree.crates(), ["crates/a", "crates/b"]);
        assert_eq!(tree.package("the-a"), Some("crates/a"));
        assert_eq!(tree.package("a"), None);
    }

    #[test]
    fn reads_this_checkout() {
        let tree = Tree::read(&crate::workspace::root()).unwrap();
        assert!(tree.has("xtask/src/tidy/tree.rs") && tree.has("Cargo.toml"));
        assert!(!tree.files().any(|(path, _)| path.starts_with(".git/") || path.starts_with("target/")));
    }
}
