//! The project's own lints: rules that neither the compiler nor clippy checks.

mod crates;
mod docs;
mod prose;
mod sources;
mod tree;

use anyhow::{Result, bail};

pub(crate) use self::prose::measure;
use self::tree::Tree;
use crate::workspace;

/// Returns one message per broken rule: the place, the fault and the fix.
type Lint = fn(&Tree) -> Vec<String>;

const LINTS: [Lint; 8] = [
    sources::files,
    sources::lines,
    crates::packages_are_complete,
    crates::stores_have_the_same_modules,
    docs::commands_exist,
    docs::guards_exist,
    prose::habits,
    prose::width,
];

/// Runs every lint and prints all findings; any of them is an error.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&workspace::root())?;
    let found = findings(&tree);
    found.iter().for_each(|finding| println!("{finding}"));
    if !found.is_empty() {
        bail!("{} findings", found.len());
    }
    println!("tidy: {} files, nothing found", tree.0.len());
    Ok(())
}

fn findings(tree: &Tree) -> Vec<String> {
    LINTS.iter().flat_map(|lint| lint(tree)).collect()
}

#[cfg(test)]
mod tests;
