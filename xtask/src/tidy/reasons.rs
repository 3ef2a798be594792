//! Exceptions carry their reasons: who meets one later can tell whether it still holds.

use super::sources::numbered;
use super::{Finding, Tree};
use crate::integration::{PREFIX, Reason};

/// Clippy asks for the reason too, but not in code that this machine's configuration leaves out.
pub(super) fn allowances_have_reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        for (number, line) in numbered(text) {
            let attribute = line.trim_start();
            for word in ["allow", "expect"] {
                let opens = [format!("#[{word}("), format!("#![{word}(")];
                if opens.iter().any(|open| attribute.starts_with(open))
                    && !whole(text, number).contains("reason =")
                {
                    findings.push(Finding::line(
                        path,
                        number,
                        format!("`{word}` without `reason = \"...\"`"),
                    ));
                }
            }
        }
    }
    findings
}

pub(super) fn ignored_tests_have_reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust() {
        for (number, line) in numbered(text) {
            let Some(rest) = line.trim_start().strip_prefix("#[ignore") else { continue };
            let reason =
                rest.trim_start().strip_prefix('=').map(|reason| reason.trim_matches([' ', '"', ']']));
            if reason.is_none_or(str::is_empty) {
                let message = "an ignored test without a reason; write #[ignore = \"...\"]";
                findings.push(Finding::line(path, number, message));
            }
        }
    }
    findings
}

/// Where `cargo xtask test-integration` finds them, in words that it understands: elsewhere they would never run.
pub(super) fn real_server_tests_are_found(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/")) {
        for (number, line) in numbered(text) {
            let Some((_, rest)) = line.split_once("ignore = \"") else { continue };
            let reason = rest.split('"').next().unwrap_or(rest);
            let place = path.splitn(3, '/').nth(2).unwrap_or(path);
            match Reason::read(reason) {
                Ok(None) => {}
                Ok(Some(_)) if place.starts_with("tests/integration") => {}
                Ok(Some(_)) => {
                    let message =
                        format!("a test that {PREFIX} stands in tests/integration*.rs, or it never runs");
                    findings.push(Finding::line(path, number, message));
                }
                Err(error) => findings.push(Finding::line(path, number, format!("{error:#}"))),
            }
        }
    }
    findings
}

/// An ignored example cannot carry a reason and is not even compiled.
pub(super) fn no_ignored_doc_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| path.starts_with("crates/")) {
        for (number, line) in numbered(text) {
            let comment = line.trim_start();
            let docs = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"));
            let info = docs.and_then(|docs| docs.trim_start().strip_prefix("```")).unwrap_or("");
            if info.split(',').any(|word| word.trim() == "ignore") {
                let message = "an ignored doc test; use `no_run`, `compile_fail` or `text`";
                findings.push(Finding::line(path, number, message));
            }
        }
    }
    findings
}

/// The attribute that begins on this line (counted from 1), through to its end.
fn whole(text: &str, number: usize) -> String {
    let mut attribute = String::new();
    for line in text.lines().skip(number - 1) {
        attribute += line;
        if line.contains(")]") {
            break;
        }
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lint: fn(&Tree) -> Vec<Finding>, text: &str) -> usize {
        lint(&Tree::of(&[("crates/a/src/x.rs", text)])).len()
    }

    #[test]
    fn an_allowance_without_a_reason_is_found() {
        for text in [
            "#[allow(dead_code)]",
            "    #![allow(dead_code)]",
            "#[expect(\n  dead_code,\n)]\n// reason = none",
        ] {
            assert_eq!(found(allowances_have_reasons, text), 1, "{text}");
        }
    }

    #[test]
    fn an_allowance_with_a_reason_passes() {
        for text in [
            "#[allow(dead_code, reason = \"why\")]",
            "#[expect(\n  dead_code,\n  reason = \"why\"\n)]",
            "// #[allow(x)]",
        ] {
            assert_eq!(found(allowances_have_reasons, text), 0, "{text}");
        }
    }

    #[test]
    fn a_test_that_would_never_meet_its_server_is_found() {
        let attribute = |words: &str| format!("suite!(#[ignore = \"{words}\"] harness())");
        let good = attribute("needs a real server: cargo xtask test-integration vault (with vault-tls)");
        let found = |path: &str, text: &str| real_server_tests_are_found(&Tree::of(&[(path, text)])).len();
        for path in ["crates/a/tests/integration.rs", "crates/a/tests/integration/tls.rs"] {
            assert_eq!(found(path, &good), 0, "{path}");
            assert_eq!(found(path, &attribute("needs a moon")), 0, "{path}");
            assert_eq!(found(path, &attribute("needs a real server: valt")), 1, "{path}");
        }
        for path in ["crates/a/tests/vault.rs", "crates/a/src/integration.rs"] {
            assert_eq!(found(path, &good), 1, "{path}");
        }
    }

    #[test]
    fn an_ignored_test_without_a_reason_is_found() {
        for text in ["#[ignore]", "  #[ignore = \"\"]"] {
            assert_eq!(found(ignored_tests_have_reasons, text), 1, "{text}");
        }
        assert_eq!(found(ignored_tests_have_reasons, "#[ignore = \"needs a cluster\"]"), 0);
    }

    #[test]
    fn an_ignored_doc_test_is_found() {
        for text in ["/// ```ignore", "//! ```rust,ignore", "    /// ``` ignore"] {
            assert_eq!(found(no_ignored_doc_tests, text), 1, "{text}");
        }
        assert_eq!(found(no_ignored_doc_tests, "/// ```no_run\n/// we ignore it\n"), 0);
    }
}
