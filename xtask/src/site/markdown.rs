//! Markdown of the repository as Markdown of the book.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A link with its text, and the definition of a link. `None` never happens: a test uses both.
static LINK: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(\]\()([^)\s]+)(\))|(?m:^(\[[^\]]+\]: )(\S+))").ok());
/// A link of rustdoc: to an item, or without a target.
static ITEM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"\[(`[^`\]]+`|[^`\]\[]+)\]\((?:[A-Za-z_][A-Za-z0-9_!]*)(?:::[A-Za-z0-9_!]+)*(?:\(\))?\)|\[(`[^`\]]+`)\](?:\[\])?($|[^(\[])").ok()
});

/// Replaces the target of each link outside of code blocks.
pub(super) fn with_links(text: &str, mut target: impl FnMut(&str) -> String) -> String {
    let Some(link) = LINK.as_ref() else { return text.to_owned() };
    let mut replace = |found: &Captures<'_>| {
        let part = |n| found.get(n).map_or("", |part| part.as_str());
        let old = if part(2).is_empty() { part(5) } else { part(2) };
        format!("{}{}{}{}", part(1), part(4), target(old), part(3))
    };
    outside_code(text, |line| link.replace_all(line, &mut replace).into_owned())
}

/// The crate docs of a Rust file as a page: under a title, with its headings one level lower, and
/// links to items as their text.
pub(super) fn of_crate_docs(source: &str, title: &str) -> String {
    let docs = source.lines().map_while(|line| line.strip_prefix("//!"));
    let docs: Vec<&str> = docs.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let lower = |line: &str| match line.starts_with('#') {
        true => format!("#{line}"),
        false => without_items(line),
    };
    let page = outside_code(&joined_links(&docs), lower);
    format!("# {title}\n\n{}", rust_fences(&page))
}

/// A link must not begin on one line and end on another: those are found line by line.
fn joined_links(lines: &[&str]) -> String {
    let text = lines.join("\n");
    match Regex::new(r"\[([^\]\[`]*|`[^`]*`)\n([^\]\[`]*)\](\([^)]*\))") {
        Ok(split) => split.replace_all(&text, "[$1 $2]$3").into_owned(),
        Err(_) => text,
    }
}

fn without_items(line: &str) -> String {
    let Some(item) = ITEM.as_ref() else { return line.to_owned() };
    let text = |found: &Captures<'_>| {
        let part = |n| found.get(n).map_or("", |part| part.as_str());
        format!("{}{}{}", part(1), part(2), part(3))
    };
    item.replace_all(line, text).into_owned()
}

/// A Markdown file as a page with the title of the summary.
pub(super) fn titled(text: &str, title: &str) -> String {
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("# ") => format!("# {title}\n{rest}"),
        _ => format!("# {title}\n\n{text}"),
    }
}

/// In rustdoc, a block without a language is Rust.
fn rust_fences(text: &str) -> String {
    let mut in_block = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            lines.push(line.to_owned());
            continue;
        };
        in_block = !in_block;
        let is_rust = ["", "no_run", "ignore", "should_panic", "compile_fail"].contains(&language);
        lines.push(match (in_block && is_rust, language) {
            (true, "") => format!("{line}rust"),
            (true, _) => line.replace("```", "```rust,"),
            (false, _) => line.to_owned(),
        });
    }
    lines.join("\n") + "\n"
}

/// Changes the lines that are not in a code block.
fn outside_code(text: &str, mut change: impl FnMut(&str) -> String) -> String {
    let mut in_block = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        lines.push(if in_block || is_fence { line.to_owned() } else { change(line) });
        in_block ^= is_fence;
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_of_code_blocks_are_replaced() {
        let text = "[a](b.md#c) and [d](e.md)\n\n```sh\n[a](b.md)\n```\n\n[f]: g.md\n";
        let expected = "[a](<b.md#c>) and [d](<e.md>)\n\n```sh\n[a](b.md)\n```\n\n[f]: <g.md>\n";
        assert_eq!(with_links(text, |target| format!("<{target}>")), expected);
    }

    #[test]
    fn crate_docs_become_a_page() {
        let source = "//! Stores [`A`] by [`b`](c::D) and | [`c`]: d |\n//! [words](E::f); see [the\n//! limits](https://x.org/y).\n//! \
            # Limits\n//! ```\n//! # hidden\n//! ```\n//! ```no_run\n//! ```\n//! ```text\n//! ```\n\nmod a;\n";
        let expected = "# T\n\nStores `A` by `b` and | `c`: d |\nwords; see [the limits](https://x.org/y).\n\
            ## Limits\n```rust\n# hidden\n```\n```rust,no_run\n```\n```text\n```\n";
        assert_eq!(of_crate_docs(source, "T"), expected);
    }

    #[test]
    fn a_page_has_the_title_of_the_summary() {
        assert_eq!(titled("# old\ntext", "new"), "# new\ntext");
        assert_eq!(titled("text", "new"), "# new\n\ntext");
    }
}
