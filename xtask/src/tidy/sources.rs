//! Shape and names of source files.

use super::{Finding, Tree};

/// Files aim to stay under this many lines ...
pub(super) const AIM: usize = 300;
/// ... and are rethought before they pass this many.
const LIMIT: usize = 600;
/// What `lib.rs` may hold beside its docs.
const LIB_LIMIT: usize = 80;
/// A whole provider as somebody else would write it, its tests apart ...
const EXAMPLE: &str = "examples/provider-redis/src/";
/// ... in fewer lines of code than this.
const EXAMPLE_LIMIT: usize = 400;
/// Names that say nothing, so that anything ends up there.
const FORBIDDEN: [&str; 7] = ["utils", "util", "helpers", "helper", "misc", "common", "manager2"];

/// `lib.rs` is the table of contents: docs, modules and re-exports.
pub(super) fn lib_is_docs_and_exports(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.product().filter(|(path, _)| path.matches('/').count() == 3) {
        if !path.ends_with("/lib.rs") {
            continue;
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//!")).count();
        if code > LIB_LIMIT {
            findings
                .push(Finding::file(path, format!("{code} lines beside the docs, more than {LIB_LIMIT}")));
        }
        for (number, line) in numbered(text) {
            if defines_function(line) {
                let message =
                    "a function in lib.rs, which is docs and re-exports; move it to the module that it is of";
                findings.push(Finding::line(path, number, message));
            }
        }
    }
    findings
}

/// A module is named after what it holds.
pub(super) fn names_say_the_domain(tree: &Tree) -> Vec<Finding> {
    let nothing_said = |path: &&str| {
        let stems = path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
        stems.into_iter().any(|stem| FORBIDDEN.contains(&stem))
    };
    let message =
        "name the module after what it holds: this name says nothing, so anything would end up in it";
    tree.rust().map(|(path, _)| path).filter(nothing_said).map(|path| Finding::file(path, message)).collect()
}

/// A file that cannot be read in one sitting holds more than one thing.
pub(super) fn files_are_short(tree: &Tree) -> Vec<Finding> {
    let lines = tree.product().map(|(path, text)| (text.lines().count(), path));
    let long = lines.filter(|(lines, _)| *lines > LIMIT);
    long.map(|(lines, path)| Finding::file(path, format!("{lines} lines, more than {LIMIT}; split it")))
        .collect()
}

/// Files between the aim and the limit, the longest first.
pub(super) fn long_files(tree: &Tree) -> Vec<(usize, &str)> {
    let lines = tree.product().map(|(path, text)| (text.lines().count(), path));
    let mut long: Vec<_> = lines.filter(|(lines, _)| (AIM + 1..=LIMIT).contains(lines)).collect();
    long.sort_by(|a, b| b.cmp(a));
    long
}

/// What a provider costs its author is a promise of `docs/writing-a-provider.md`.
pub(super) fn the_example_is_small(tree: &Tree) -> Vec<Finding> {
    let sources = tree.rust().filter(|(path, _)| path.starts_with(EXAMPLE));
    let lines: usize = sources.map(|(_, text)| text.lines().filter(|line| is_code(line)).count()).sum();
    let message = || format!("{lines} lines of code; a whole provider stays under {EXAMPLE_LIMIT}");
    if lines < EXAMPLE_LIMIT { Vec::new() } else { vec![Finding::file(EXAMPLE, message())] }
}

/// Neither blank nor a comment alone.
fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Comments are not code; a word that merely ends in `fn` is no keyword.
fn defines_function(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("");
    let mut words = code.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word == "fn" && words.peek().is_some() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lint: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> usize {
        lint(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_lib_of_docs_and_exports_passes() {
        let text = "//! fn main() in the docs.\n".repeat(200) + "mod a;\npub use a::A; // not fn b\n";
        assert_eq!(found(lib_is_docs_and_exports, "crates/a/src/lib.rs", &text), 0);
    }

    #[test]
    fn a_long_lib_is_found() {
        let text = "mod a;\n".repeat(81);
        assert_eq!(found(lib_is_docs_and_exports, "crates/a/src/lib.rs", &text), 1);
        assert_eq!(found(lib_is_docs_and_exports, "crates/a/src/lib.rs", &"mod a;\n".repeat(80)), 0);
    }

    #[test]
    fn a_function_in_lib_is_found() {
        for text in ["pub async fn a() {}", "    fn b(&self) -> u8 {", "pub const unsafe fn c() {}"] {
            assert_eq!(found(lib_is_docs_and_exports, "crates/a/src/lib.rs", text), 1, "{text}");
        }
        assert_eq!(found(lib_is_docs_and_exports, "crates/a/src/config.rs", "fn a() {}"), 0);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for path in ["crates/a/src/utils.rs", "crates/a/tests/common/mod.rs", "xtask/src/misc.rs"] {
            assert_eq!(found(names_say_the_domain, path, ""), 1, "{path}");
        }
        assert_eq!(found(names_say_the_domain, "crates/a/src/naming.rs", ""), 0);
    }

    #[test]
    fn a_file_past_the_limit_is_found_and_one_past_the_aim_is_mentioned() {
        let path = "crates/a/src/big.rs";
        assert_eq!(found(files_are_short, path, &"\n".repeat(601)), 1);
        assert_eq!(found(files_are_short, path, &"\n".repeat(600)), 0);
        let lines = |count: usize| long_files(&Tree::of(&[(path, &"\n".repeat(count))])).len();
        assert_eq!([lines(300), lines(301), lines(600), lines(601)], [0, 1, 1, 0]);
    }

    #[test]
    fn an_example_that_grew_is_found() {
        let path = "examples/provider-redis/src/lib.rs";
        let text = |lines: usize| "// why\n\n    //! what\nlet a = 1; // and this\n".repeat(lines);
        assert_eq!(found(the_example_is_small, path, &text(400)), 1);
        assert_eq!(found(the_example_is_small, path, &text(399)), 0);
        assert_eq!(found(the_example_is_small, "examples/provider-redis/tests/a.rs", &text(400)), 0);
    }
}
