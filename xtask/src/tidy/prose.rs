//! Plain English: words that send a reader back to the start of the sentence, and lines that are
//! too wide to read.
//!
//! Prose is what people read: comments, Markdown, text in the string literals of Rust, and names of
//! four or more words, such as those of tests. Code in backticks and code blocks is not prose. A
//! comment `not prose: REASON` exempts the lines from its own to the next blank line.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::Result;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use regex::Regex;

use super::Tree;
use crate::table;

/// A way of writing that this project once had, and plain technical English does not.
struct Habit {
    name: &'static str,
    /// A space in the pattern also matches the end of a line.
    pattern: &'static str,
    instead: &'static str,
    /// Hits per 10,000 words: the most that any of object_store 0.14, rustls 0.23, kube 5.0,
    /// ripgrep 15.2, age 0.12 and reqwest 0.13 has. Measured by `cargo xtask prose FOLDER` on their
    /// published packages.
    ceiling: f64,
}

const fn habit(name: &'static str, pattern: &'static str, instead: &'static str, ceiling: f64) -> Habit {
    Habit { name, pattern, instead, ceiling }
}

// not prose: the words that are looked for
const HABITS: [Habit; 22] = [
    habit("tell", r"(?i)\b(tell|tells|told|telling)\b", "report, return, distinguish, log", 1.1),
    habit("say", r"(?i)\b(say|says|said|saying)\b", "report, return, state, log", 2.9),
    habit("anew", r"(?i)\b(anew|once more)\b", "again, or re-", 0.0),
    habit("nobody", r"(?i)\b(nobody|somebody|everybody)\b", "no process, another process, other users", 0.0),
    habit("Who", r"\bWho\b|(?i)\bwho may\b", "name the actor: the caller, the provider, a principal", 0.0),
    habit("who", r"\bwho\b", "name the actor: the caller, the provider, a principal", 0.9),
    habit("is no", r"(?i)\b(is|are|was|were) (no|none)\b", "is not a, does not exist", 4.6),
    habit(
        "What",
        r"\bWhat\b[^?|.\n]*(?:\n\x20*[^\x20?|.\n][^?|.\n]*)*[.|]",
        "name the thing: the contents, the stored data",
        0.5,
    ),
    habit("mend", r"(?i)\b(mend|mends|mended)\b", "fix", 0.0),
    habit("doubt", r"(?i)\bdoubt(s|ed|ful)?\b", "uncertain; the outcome is unknown", 0.0),
    habit("quiet time", r"(?i)\bquiet time\b", "no-cache window", 0.0),
    habit("flight", r"(?i)(?:^|[^-\n])\bflights?\b", "in-flight load", 1.4),
    habit("ledger", r"(?i)\bledgers?\b", "load table", 0.0),
    habit("settle", r"(?i)\bsettle[sd]?\b", "resolve, become visible", 0.0),
    habit("turn", r"(?i)\b(its|their|your) turn\b", "the write lock, wait for the lock", 0.0),
    habit("give up", r"(?i)\b(give|gives|giving|gave|given) (it )?up\b", "cancel", 0.6),
    habit("for good", r"(?i)\bfor good\b", "permanently", 0.5),
    habit("of its own", r"(?i)\bof (its|their|your) own\b", "its own, separate", 0.0),
    habit("as it is", r"(?i)\bas (it is|they are)\b", "unchanged", 1.0),
    habit("so long", r"(?i)\b(for so long|so many|so long as)\b", "for that long, at most N", 0.5),
    habit("besides", r"(?i)\bbesides\b", "also, in addition", 0.9),
    habit("is there", r"(?i)\b(is|are|was|were) (not )?there\b", "exists, does not exist", 0.4),
];

/// Columns of a line with a comment, and of a line of Markdown.
const WIDTH: usize = 100;
// not prose: the mark itself
const MARK: &str = "not prose: ";
/// A name of so many words is a sentence.
const WORDS_OF_A_SENTENCE: usize = 4;

/// The match of a space in a pattern: spaces, or the end of a line.
const GAP: &str = r"(?: *\n *| +)";

static PATTERNS: LazyLock<Vec<(Regex, &Habit)>> = LazyLock::new(|| {
    let compile = |habit: &'static Habit| Some((Regex::new(&habit.pattern.replace(' ', GAP)).ok()?, habit));
    HABITS.iter().filter_map(compile).collect()
});

/// A habit in one place of a tree.
struct Hit<'a> {
    path: &'a str,
    line: usize,
    found: String,
}

/// The habits in a tree, each with its hits, and the number of words.
struct Survey<'a> {
    words: usize,
    hits: Vec<(&'static Habit, Vec<Hit<'a>>)>,
}

impl<'a> Survey<'a> {
    fn of(tree: &'a Tree) -> Self {
        let mut survey =
            Survey { words: 0, hits: PATTERNS.iter().map(|(_, habit)| (*habit, Vec::new())).collect() };
        for (path, text) in tree.files() {
            let Some(prose) = prose(path, text) else { continue };
            let is_word = |word: &&str| word.starts_with(|c: char| c.is_alphabetic());
            survey.words += prose.split([' ', '\n', '|']).filter(is_word).count();
            for ((pattern, _), (_, hits)) in PATTERNS.iter().zip(&mut survey.hits) {
                hits.extend(pattern.find_iter(&prose).map(|found| Hit {
                    path,
                    line: 1 + prose.get(..found.start()).unwrap_or("").matches('\n').count(),
                    found: found.as_str().split_whitespace().collect::<Vec<_>>().join(" "),
                }));
            }
        }
        survey
    }

    fn rate(&self, hits: usize) -> f64 {
        let (hits, words) =
            (u32::try_from(hits).unwrap_or(u32::MAX), u32::try_from(self.words).unwrap_or(u32::MAX));
        f64::from(hits) * 10_000.0 / f64::from(words.max(1))
    }
}

/// One finding per hit of each habit that is more frequent than in the codebases it is measured by.
pub(super) fn habits(tree: &Tree) -> Vec<String> {
    let survey = Survey::of(tree);
    let too_many = survey.hits.iter().filter(|(habit, hits)| survey.rate(hits.len()) > habit.ceiling);
    too_many
        .flat_map(|(habit, hits)| {
            hits.iter().map(move |hit| {
                let Hit { path, line, found } = hit;
                format!("{path}:{line}: `{found}`: write {} (habit `{}`)", habit.instead, habit.name)
            })
        })
        .collect()
}

/// Prints how often each habit occurs in the files below a folder.
pub(crate) fn measure(folder: &Path) -> Result<()> {
    let tree = Tree::read(folder)?;
    let survey = Survey::of(&tree);
    let row = |(habit, hits): &(&Habit, Vec<Hit<'_>>)| {
        [
            habit.name.to_owned(),
            hits.len().to_string(),
            format!("{:.1}", survey.rate(hits.len())),
            format!("{:.1}", habit.ceiling),
        ]
    };
    let rows: Vec<_> = survey.hits.iter().map(row).collect();
    println!(
        "{} words\n{}",
        survey.words,
        table::render(["habit", "hits", "per 10,000 words", "ceiling"], &[1, 2, 3], &rows)
    );
    Ok(())
}

/// Finds comments and Markdown that are wider than 100 columns. The line of a link may be
/// wider, the row of a table, and the line of a dependency with its reason.
pub(super) fn width(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree.files() {
        let Some(comments) = masked(path, text, false) else { continue };
        for (number, ((line, comment), is_exempt)) in
            (1..).zip(text.lines().zip(comments.lines()).zip(exempt(text)))
        {
            let content = line.trim_start_matches(['/', '!', ' ']);
            let may_be_wider = is_exempt
                || line.contains("://")
                || content.starts_with('|')
                || (path.ends_with(".toml") && !content.starts_with('#'));
            let width = line.chars().count();
            if width > WIDTH && comment.contains(char::is_alphabetic) && !may_be_wider {
                found.push(format!("{path}:{number}: {width} columns, more than {WIDTH}; wrap the text"));
            }
        }
    }
    found
}

/// The prose of a file. Everything else is replaced by spaces, so that offsets and lines stay.
fn prose(path: &str, text: &str) -> Option<String> {
    let masked = masked(path, text, true)?;
    let keep = |(line, is_exempt)| if is_exempt { String::new() } else { str::to_owned(line) };
    Some(masked.lines().zip(exempt(text)).map(keep).collect::<Vec<_>>().join("\n"))
}

/// For each line, whether a mark exempts it.
fn exempt(text: &str) -> impl Iterator<Item = bool> {
    text.lines().scan(false, |is_exempt, line| {
        *is_exempt = !line.trim().is_empty() && (*is_exempt || line.contains(MARK));
        Some(*is_exempt)
    })
}

/// The comments of a file, and all of Markdown, without code; with `strings` also the literals and
/// names of Rust that are prose.
fn masked(path: &str, text: &str, strings: bool) -> Option<String> {
    Some(without_code(&match kind(path)? {
        Kind::Rust => rust(text, strings),
        Kind::Markdown => text.to_owned(),
        Kind::Hash => hash(text),
    }))
}

enum Kind {
    Rust,
    Markdown,
    /// A comment begins with `#`.
    Hash,
}

fn kind(path: &str) -> Option<Kind> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rsplit_once('.') {
        _ if path == ".ci/run" => Some(Kind::Hash),
        Some((_, "rs")) => Some(Kind::Rust),
        Some((_, "md")) => Some(Kind::Markdown),
        Some((_, "toml" | "sh" | "yml" | "yaml" | "py")) => Some(Kind::Hash),
        _ => None,
    }
}

/// Keeps the comments of Rust; with `strings` also the text of literals, and the names that are
/// sentences.
fn rust(text: &str, strings: bool) -> String {
    let (mut masked, mut at) = (String::with_capacity(text.len()), 0);
    for token in tokenize(text, FrontmatterAllowed::No) {
        let end = at + usize::try_from(token.len).unwrap_or(0);
        let source = text.get(at..end).unwrap_or("");
        at = end;
        match token.kind {
            TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {
                let words = source.trim_start_matches(['/', '*', '!']);
                masked.push_str(&" ".repeat(source.len() - words.len()));
                masked.push_str(words);
            }
            TokenKind::Literal { kind: LiteralKind::Str { .. } | LiteralKind::RawStr { .. }, .. }
                if strings =>
            {
                let words = source.replace("\\n", "  ").replace("\\\n", " \n");
                masked.push_str(&words.replace('"', "|"));
            }
            TokenKind::Ident if strings && source.split('_').count() >= WORDS_OF_A_SENTENCE => {
                let mut rest = source.chars();
                masked.extend(rest.next().into_iter().flat_map(char::to_uppercase)); // a sentence
                masked.push_str(&rest.as_str().replace('_', " "));
            }
            TokenKind::Whitespace => masked.push_str(source),
            _ => masked.push_str(&format!("|{}", blank(source.get(1..).unwrap_or("")))),
        }
    }
    masked
}

/// Keeps the comments that begin with `#`.
fn hash(text: &str) -> String {
    let keep = |line: &str| match line.split_once("# ") {
        Some((code, comment)) if code.is_empty() || code.ends_with(' ') => {
            format!("{}  {comment}", blank(code).replacen(' ', "|", usize::from(!code.trim().is_empty())))
        }
        _ => blank(line),
    };
    text.lines().map(keep).collect::<Vec<_>>().join("\n")
}

/// Removes code blocks and what stands in backticks. Lines and columns stay.
fn without_code(text: &str) -> String {
    // A span in backticks may end on a later line of its paragraph.
    let (mut masked, mut in_block, mut is_code) = (Vec::new(), false, false);
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_code &= line.contains(char::is_alphabetic) && !is_fence;
        if in_block || is_fence {
            masked.push(blank(line));
        } else {
            let mask = |(n, part): (usize, &str)| match is_code ^ (n % 2 == 1) {
                true => blank(part),
                false => part.to_owned(),
            };
            let parts: Vec<_> = line.split('`').enumerate().map(mask).collect();
            is_code ^= parts.len() % 2 == 0; // an odd number of backticks
            masked.push(parts.join("`"));
        }
        in_block ^= is_fence;
    }
    masked.join("\n")
}

/// Spaces in the place of a text; its lines stay.
fn blank(text: &str) -> String {
    let space = |c: char| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) };
    text.chars().map(space).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), HABITS.len());
    }
}
