//! The files of the checkout in memory, so that a test can build a tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Build output, git's own files and the findings of fuzzers.
const SKIPPED: [&str; 4] = ["target", ".git", "corpus", "artifacts"];

/// The text of each file by its path from the root, with `/`. A file that is not text is empty.
pub(super) struct Tree(pub(super) BTreeMap<String, String>);

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        walk(root, "", &mut files)?;
        Ok(Self(files))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Every line of every file: the path, the number, which counts from 1, and the line.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        let numbered = |(path, text)| (1..).zip(str::lines(text)).map(move |(n, line)| (path, n, line));
        self.files().flat_map(numbered)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let Some(name) = name.to_str().filter(|name| !SKIPPED.contains(name)) else { continue };
        if kind.is_dir() {
            walk(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(format!("{prefix}{name}"), fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    Ok(())
}
