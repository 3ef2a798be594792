//! Commands and guards in the docs: the things that they name exist.

use clap::CommandFactory;

use super::Tree;
use crate::Cli;

/// Checks the `sh` and `console` blocks of every README.md and of docs/*.md.
pub(super) fn commands_exist(tree: &Tree) -> Vec<String> {
    let is_doc = |path: &str| path.ends_with("README.md") || path.starts_with("docs/");
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| is_doc(path) && path.ends_with(".md")) {
        for command in commands(text) {
            if let Err(why) = check(&command) {
                found.push(format!("{path}: `{command}`: {why}"));
            }
        }
    }
    found
}

/// A line that ends in `\` continues. In a `console` block, commands begin with `$ `.
fn commands(markdown: &str) -> Vec<String> {
    let (mut commands, mut block) = (Vec::new(), None);
    for line in markdown.replace("\\\n", "").lines().map(str::trim) {
        match (line.strip_prefix("```"), block.as_deref()) {
            (Some(_), Some(_)) => block = None,
            (Some(language), None) => block = Some(language.to_owned()),
            (None, Some("sh")) => commands.push(line.to_owned()),
            (None, Some("console")) => commands.extend(line.strip_prefix("$ ").map(str::to_owned)),
            _ => {}
        }
    }
    commands
}

/// Only xtask's own commands are checked.
fn check(command: &str) -> Result<(), String> {
    // NAME=value before it
    let words = command.split_whitespace().skip_while(|word| word.contains('='));
    let words: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
    let ["cargo", "xtask", ..] = words.as_slice() else { return Ok(()) };
    match Cli::command().try_get_matches_from(words.iter().skip(1)) {
        Err(error) if error.use_stderr() => Err(format!("xtask does not accept it: {}", error.kind())),
        _ => Ok(()),
    }
}

/// The documents whose claims have guards: the tests that would fail if the claim were false. A
/// guard is written in backticks as `test: PATH.rs::NAME`, and the file contains NAME as a word.
const GUARDED: [&str; 2] = ["docs/architecture.md", "docs/threat-model.md"];

pub(super) fn guards_exist(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, number, line) in tree.lines().filter(|(path, ..)| GUARDED.contains(path)) {
        let quoted = line.split('`').skip(1).step_by(2);
        for (quoted, guard) in quoted.filter_map(|quoted| Some((quoted, quoted.strip_prefix("test:")?))) {
            let why = match guard.trim().split_once("::").map(|(file, name)| (file, name, tree.text(file))) {
                Some((_, name, Some(text))) if has_word(text, name) => continue,
                Some((file, name, Some(_))) => format!("`{name}` does not occur in {file}"),
                Some((file, _, None)) => format!("the file {file} does not exist"),
                None => "write it as `test: crates/NAME/FILE.rs::TEST`".to_owned(),
            };
            found.push(format!("{path}:{number}: the guard `{quoted}`: {why}"));
        }
    }
    found
}

/// Whole words only, or a renamed test would be found in its longer successor.
fn has_word(text: &str, name: &str) -> bool {
    !name.is_empty() && text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}
