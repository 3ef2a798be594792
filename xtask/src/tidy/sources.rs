//! Size, names and lines of source files.

use super::Tree;
use crate::integration::{PREFIX, Reason};

/// A longer file cannot be read in one sitting.
const LIMIT: usize = 600;
/// The number of lines that `lib.rs` may have, without its docs.
const LIB_LIMIT: usize = 80;
/// A module with such a name attracts anything.
const VAGUE: [&str; 7] = ["utils", "util", "helpers", "helper", "misc", "common", "manager2"];

pub(super) fn files(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".rs")) {
        if path.split(['/', '.']).any(|part| VAGUE.contains(&part)) {
            found.push(format!("{path}: name the module after its contents"));
        }
        let count =
            |is_counted: fn(&str) -> bool| text.lines().filter(|line| is_counted(line.trim())).count();
        let lines = count(|_| true);
        if is_source(path) && lines > LIMIT {
            found.push(format!("{path}: {lines} lines, more than {LIMIT}; split it"));
        }
        let lines = count(|line| !line.starts_with("//!"));
        if is_lib(path) && lines > LIB_LIMIT {
            found.push(format!("{path}: {lines} lines without the docs, more than {LIB_LIMIT}"));
        }
    }
    found
}

pub(super) fn lines(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, number, line) in tree.lines() {
        let mut report = |message: &str| found.push(format!("{path}:{number}: {message}"));
        if is_lib(path) && format!(" {}", line.split("//").next().unwrap_or("")).contains(" fn ") {
            report("a function in lib.rs, which has only docs and re-exports; move it to its module");
        }
        if !path.ends_with(".rs") || path.starts_with("xtask/") {
            continue; // prose, and the samples of these lints
        }
        if let Some((_, rest)) = line.split_once("ignore = \"") {
            match Reason::read(rest.split('"').next().unwrap_or(rest)) {
                Ok(Some(_)) if !path.contains("/tests/integration") => {
                    report(&format!("a test that {PREFIX} only runs in tests/integration*.rs"));
                }
                Ok(_) => {}
                Err(error) => report(&format!("{error:#}")),
            }
        }
    }
    found
}

/// Whether the path is a source file of a package, and not of its tests or examples.
fn is_source(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["crates" | "testing", _, "src", ..]) && path.ends_with(".rs")
}

fn is_lib(path: &str) -> bool {
    is_source(path) && path.ends_with("/src/lib.rs")
}
