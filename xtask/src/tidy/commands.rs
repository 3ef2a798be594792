//! Commands in the docs: what a reader is told to type exists.

use clap::CommandFactory;

use super::sources::numbered;
use super::{Finding, Tree};
use crate::Cli;

/// Looks at the `sh` and `console` blocks of every README.md and of `docs/*.md`.
pub(super) fn programs_exist(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| is_instruction(path)) {
        for (line, command) in commands(text) {
            if let Err(why) = check(&command, tree) {
                findings.push(Finding::line(path, line, format!("`{command}`: {why}")));
            }
        }
    }
    findings
}

fn is_instruction(path: &str) -> bool {
    path.ends_with("README.md") || (path.starts_with("docs/") && path.ends_with(".md"))
}

/// The commands of all blocks, each with the line that it begins on. In a `console` block only what follows a
/// `$ ` is a command; a line that ends in `\` goes on.
fn commands(markdown: &str) -> Vec<(usize, String)> {
    let (mut commands, mut block, mut open) = (Vec::new(), None, None::<(usize, String)>);
    for (number, line) in numbered(markdown) {
        let line = line.trim();
        if let Some(info) = line.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(info) };
            continue;
        }
        let typed = match (block, &open) {
            (Some("sh" | "console"), Some(_)) | (Some("sh"), None) => line,
            (Some("console"), None) => line.strip_prefix("$ ").unwrap_or(""),
            _ => "",
        };
        let (begin, before) = open.take().unwrap_or((number, String::new()));
        match typed.strip_suffix('\\') {
            Some(part) => open = Some((begin, before + part)),
            None if typed.is_empty() && before.is_empty() => {}
            None => commands.push((begin, before + typed)),
        }
    }
    commands
}

/// Only cargo's commands on our own packages are judged: other programs are not ours to know.
fn check(command: &str, tree: &Tree) -> Result<(), String> {
    let mut words = command.split_whitespace().skip_while(|word| word.contains('=')); // NAME=value before it
    if words.next() != Some("cargo") {
        return Ok(());
    }
    let words: Vec<&str> = words.take_while(|word| *word != "--" && !word.starts_with('#')).collect();
    match words.as_slice() {
        ["xtask", chore, ..] => {
            match Cli::command().get_subcommands().any(|known| known.get_name() == *chore) {
                true => Ok(()),
                false => Err("there is no such chore".to_owned()),
            }
        }
        ["xtask"] => Err("name a chore".to_owned()),
        [_, rest @ ..] => check_package(rest, tree),
        [] => Ok(()),
    }
}

fn check_package(words: &[&str], tree: &Tree) -> Result<(), String> {
    let after = |long: &str, short: &str| {
        let at = words.iter().position(|word| *word == long || *word == short)?;
        words.get(at + 1).copied()
    };
    let Some(package) = after("--package", "-p") else { return Ok(()) };
    let folder = tree.package(package).ok_or(format!("there is no package {package}"))?;
    for (option, place) in [("--example", "examples"), ("--bench", "benches"), ("--test", "tests")] {
        let Some(name) = after(option, option) else { continue };
        let files = [format!("{folder}/{place}/{name}.rs"), format!("{folder}/{place}/{name}/main.rs")];
        if !files.iter().any(|file| tree.has(file)) {
            return Err(format!("there is no {}", files[0]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(command: &str) -> Option<String> {
        let tree = Tree::of(&[
            ("crates/m/Cargo.toml", "[package]\nname = \"cred-m\"\n"),
            ("crates/m/examples/tour.rs", ""),
            ("crates/m/examples/big/main.rs", ""),
            ("benches/Cargo.toml", "name = \"cred-benches\"\n"),
            ("benches/benches/hit.rs", ""),
            ("README.md", &format!("```sh\n{command}\n```\n")),
        ]);
        programs_exist(&tree).pop().map(|finding| finding.to_string())
    }

    #[test]
    fn commands_that_exist_pass() {
        for command in [
            "cargo xtask ci",
            "CRED_CACHE_DIR=x cargo xtask quickstart my.env",
            "cargo run -p cred-m --example tour -- --example no",
            "cargo run --package cred-m --example big",
            "cargo bench -p cred-benches --bench hit",
            "cargo add cred-manager",
            "vault server -dev",
            "# cargo xtask nothing",
        ] {
            assert_eq!(why(command), None);
        }
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        for command in [
            "cargo xtask nothing",
            "cargo xtask",
            "A=1 cargo xtask nothing",
            "cargo run -p cred-m --example gone",
            "cargo bench -p cred-benches --bench gone",
            "cargo test -p cred-m --test gone",
            "cargo test -p cred-x",
            "cargo run -p cred-m \\\n  --example gone",
        ] {
            assert!(why(command).is_some_and(|finding| finding.starts_with("README.md:2: ")), "{command}");
        }
    }

    #[test]
    fn a_console_shows_output_too() {
        let text = "```console\n$ cargo xtask test \\\n  cred-core\ncargo output\n```\n```toml\ncargo x\n```\ncargo y\n";
        assert_eq!(commands(text), [(2, "cargo xtask test cred-core".to_owned())]);
    }
}
