//! Guards: the tests that the docs say hold an invariant.
//!
//! A guard is written in backticks as `test: PATH.rs::NAME`, where the file contains `fn NAME`, or NAME alone
//! where a macro makes the function.

use super::sources::numbered;
use super::{Finding, Tree};

const DOCS: [&str; 2] = ["docs/architecture.md", "docs/threat-model.md"];
const MARK: &str = "test:";

/// A claim whose test was renamed or removed is a claim that nobody checks.
pub(super) fn tests_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, line, guard) in guards(tree) {
        let Some((file, name)) = parse(guard) else { continue };
        let missing = match tree.text(file) {
            None => format!("there is no file {file}"),
            Some(text) if !has_word(text, name) => format!("there is no `{name}` in {file}"),
            Some(_) => continue,
        };
        findings.push(Finding::line(path, line, format!("the guard `{guard}`: {missing}")));
    }
    findings
}

pub(super) fn are_well_formed(tree: &Tree) -> Vec<Finding> {
    let malformed = guards(tree).into_iter().filter(|(_, _, guard)| parse(guard).is_none());
    let finding = |(path, line, guard): (&str, usize, &str)| {
        Finding::line(path, line, format!("`{guard}` is no guard; write `{MARK} crates/NAME/FILE.rs::TEST`"))
    };
    malformed.map(finding).collect()
}

/// The document, the line and the text in backticks.
fn guards(tree: &Tree) -> Vec<(&str, usize, &str)> {
    let mut guards = Vec::new();
    for (path, text) in DOCS.into_iter().filter_map(|path| Some((path, tree.text(path)?))) {
        for (number, line) in numbered(text) {
            let quoted = line.split('`').skip(1).step_by(2);
            guards.extend(quoted.filter(|code| code.starts_with(MARK)).map(|code| (path, number, code)));
        }
    }
    guards
}

fn parse(guard: &str) -> Option<(&str, &str)> {
    let (file, name) = guard.strip_prefix(MARK)?.trim().split_once("::")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (file.ends_with(".rs") && is_name).then_some((file, name))
}

/// The name as a whole word, so that a renamed test is not found in its longer successor.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(doc: &str) -> Tree {
        Tree::of(&[
            ("docs/architecture.md", doc),
            ("crates/a/tests/order.rs", "fn writes_are_ordered() {}\nclause!(reads_see_writes_too);\n"),
        ])
    }

    #[test]
    fn a_guard_that_exists_passes() {
        let tree = tree(
            "x `test: crates/a/tests/order.rs::writes_are_ordered`, `test: crates/a/tests/order.rs::reads_see_writes_too`",
        );
        assert_eq!(tests_exist(&tree), []);
        assert_eq!(are_well_formed(&tree), []);
    }

    #[test]
    fn a_guard_without_its_test_is_found() {
        for name in ["writes_are", "reads_see_writes", "gone"] {
            assert_eq!(
                tests_exist(&tree(&format!("`test: crates/a/tests/order.rs::{name}`"))).len(),
                1,
                "{name}"
            );
        }
        assert_eq!(
            tests_exist(&tree("\n`test: crates/a/tests/gone.rs::writes_are_ordered`"))[0].line,
            Some(2)
        );
    }

    #[test]
    fn a_malformed_guard_is_found() {
        for guard in ["test: order", "test: crates/a::b", "test: a.rs::b c", "test: a.rs::"] {
            assert_eq!(are_well_formed(&tree(&format!("`{guard}`"))).len(), 1, "{guard}");
        }
        assert_eq!(are_well_formed(&tree("`testing` and test: this")), []);
    }
}
