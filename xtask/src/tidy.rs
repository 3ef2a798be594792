//! The project's own lints: what a reader relies on and no compiler checks.
//!
//! Each lint is a function from the tree of files to findings, and is seen to fire by tests of its own.

mod commands;
mod crates;
mod guards;
mod machine;
mod reasons;
mod sources;
mod tree;

use std::fmt;

use anyhow::{Result, bail};

use self::tree::Tree;
use crate::workspace;

/// Runs every lint and prints all findings; any of them is an error. Long files are only mentioned.
pub(crate) fn run() -> Result<()> {
    let tree = Tree::read(&workspace::root())?;
    for (lines, path) in sources::long_files(&tree) {
        println!("note: {path} has {lines} lines; aim under {}", sources::AIM);
    }
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    println!("tidy: {} files, nothing found", tree.len());
    Ok(())
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let lints: [fn(&Tree) -> Vec<Finding>; 16] = [
        sources::lib_is_docs_and_exports,
        sources::names_say_the_domain,
        sources::files_are_short,
        sources::the_example_is_small,
        crates::stores_have_the_same_rooms,
        crates::manifests_are_complete,
        crates::readmes_exist,
        crates::readmes_are_compiled,
        commands::programs_exist,
        reasons::allowances_have_reasons,
        reasons::ignored_tests_have_reasons,
        reasons::real_server_tests_are_found,
        reasons::no_ignored_doc_tests,
        guards::tests_exist,
        guards::are_well_formed,
        machine::no_paths_of_a_machine,
    ];
    lints.iter().flat_map(|lint| lint(tree)).collect()
}

/// One broken rule at one place, in words that say what to do.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn file(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, message: message.into() }
    }

    /// `line` counts from 1.
    fn line(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_point_at_a_line() {
        assert_eq!(Finding::line("a.rs", 3, "no").to_string(), "a.rs:3: no");
        assert_eq!(Finding::file("a.rs", "no").to_string(), "a.rs: no");
    }

    #[test]
    fn every_lint_of_every_room_is_run() {
        let tree = Tree::of(&[
            ("crates/cred-store-x/Cargo.toml", "[package]\nname = \"cred-store-x\"\n"),
            ("crates/cred-store-x/src/lib.rs", "fn late() {}\n"),
            ("crates/cred-store-x/src/utils.rs", "#[allow(dead_code)]\n#[ignore]\n/// ```ignore\n"),
            ("crates/cred-store-y/README.md", "# y\n"),
            ("crates/cred-store-y/src/lib.rs", ""),
            ("examples/provider-redis/src/lib.rs", &"x\n".repeat(400)),
            ("crates/cred-store-x/src/far.rs", "#[ignore = \"needs a real server: x\"]\n"),
            ("crates/cred-store-x/src/big.rs", &"\n".repeat(601)),
            ("README.md", "```sh\ncargo xtask nothing\n```\n"),
            ("docs/architecture.md", "`test: nowhere.rs::gone` `test: what`\n"),
            ("notes.md", &format!("/{}/x\n", "work")),
        ]);
        let text = findings(&tree).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for sign in [
            "lib.rs:1: a function",
            "utils.rs: name",
            "big.rs: 601",
            "no `client`",
            "no `description`",
            "no README.md",
            "cred-store-y/README.md: no example",
            "provider-redis/src/: 400 lines",
            "`cargo xtask nothing`",
            "`allow`",
            "an ignored test",
            "far.rs:1: `needs a real server: x`",
            "doc test",
            "nowhere.rs",
            "`test: what`",
            "a path of a machine",
        ] {
            assert!(text.contains(sign), "{sign} is not in:\n{text}");
        }
    }
}
