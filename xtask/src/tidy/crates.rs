//! What every crate has, so that who knows one finds their way in all.

use super::{Finding, Tree};

/// The rooms of a backend crate; further files are named by their domain.
const ROOMS: [&str; 5] = ["lib", "config", "client", "provider", "error"];

/// Rooms that a store does without, each with its reason.
const WITHOUT: [(&str, &str, &str); 3] = [
    ("cred-store-memory", "client", "a map makes no wire calls"),
    ("cred-store-memory", "error", "a map has no errors of its own to translate"),
    ("cred-store-memory", "config", "a map needs no settings to reach its backend"),
];

/// What a manifest must set, as (section, key).
const SETTINGS: [(&str, &str); 3] =
    [("package", "description"), ("package", "rust-version"), ("lints", "workspace")];

/// What has a README's examples compiled with the doc tests.
const INCLUDED: &str = "#[doc = include_str!(\"../README.md\")]";

pub(super) fn stores_have_the_same_rooms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in tree.crates() {
        let name = folder.trim_start_matches("crates/");
        if !name.starts_with("cred-store-") {
            continue;
        }
        for room in ROOMS {
            let excused = WITHOUT.iter().any(|(store, without, _)| (*store, *without) == (name, room));
            let there = [format!("{folder}/src/{room}.rs"), format!("{folder}/src/{room}/mod.rs")];
            if !excused && !there.iter().any(|path| tree.has(path)) {
                findings.push(Finding::file(
                    folder,
                    format!("no `{room}` room: every backend has the same ones"),
                ));
            }
        }
    }
    findings
}

pub(super) fn manifests_are_complete(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in tree.crates() {
        let path = format!("{folder}/Cargo.toml");
        let Some(manifest) = tree.text(&path) else {
            findings.push(Finding::file(folder, "no Cargo.toml"));
            continue;
        };
        for (section, key) in SETTINGS {
            if !sets(manifest, section, key) {
                findings.push(Finding::file(&path, format!("no `{key}` in [{section}]")));
            }
        }
        if !manifest.lines().any(|line| line.trim() == "[package.metadata.docs.rs]") {
            findings.push(Finding::file(
                &path,
                "no [package.metadata.docs.rs]: say which features docs.rs builds",
            ));
        }
    }
    findings
}

pub(super) fn readmes_exist(tree: &Tree) -> Vec<Finding> {
    let without = |folder: &&str| !tree.has(&format!("{folder}/README.md"));
    let folders = tree.crates().into_iter().filter(without);
    folders
        .map(|folder| Finding::file(folder, "no README.md, which is the crate's page on a registry"))
        .collect()
}

/// An example that no test compiles is wrong one day, and it is the first thing that a user copies.
pub(super) fn readmes_are_compiled(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in tree.crates() {
        let lib = format!("{folder}/src/lib.rs");
        let (Some(text), Some(readme)) = (tree.text(&lib), tree.text(&format!("{folder}/README.md"))) else {
            continue; // a program, whose README has commands; or no README, which is another finding
        };
        if !text.lines().any(|line| line.trim() == INCLUDED) {
            let message =
                format!("no `{INCLUDED}` under `#[cfg(doctest)]`: the README's examples are not compiled");
            findings.push(Finding::file(&lib, message));
        }
        let published = !tree
            .text(&format!("{folder}/Cargo.toml"))
            .is_some_and(|manifest| manifest.lines().any(|line| line.trim() == "publish = false"));
        if published && !readme.lines().any(|line| line.starts_with("```rust")) {
            findings.push(Finding::file(
                &format!("{folder}/README.md"),
                "no example in Rust: show the first use",
            ));
        }
    }
    findings
}

fn sets(manifest: &str, section: &str, key: &str) -> bool {
    let mut here = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            here = name;
        } else if here == section && line.split(['=', '.']).next().is_some_and(|found| found.trim() == key) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"a\"\ndescription = \"A\"\nrust-version.workspace = true\n\n\
        [package.metadata.docs.rs]\nall-features = true\n\n[lints]\nworkspace = true\n";

    fn store(name: &str, rooms: &[&str]) -> Tree {
        let files: Vec<_> = rooms.iter().map(|room| (format!("crates/{name}/src/{room}.rs"), "")).collect();
        Tree::of(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
    }

    #[test]
    fn a_store_with_its_rooms_and_more_passes() {
        let rooms = ["lib", "config", "client/mod", "provider", "error", "auth", "lease"];
        assert_eq!(stores_have_the_same_rooms(&store("cred-store-x", &rooms)), []);
    }

    #[test]
    fn a_missing_room_is_found() {
        let findings =
            stores_have_the_same_rooms(&store("cred-store-x", &["lib", "config", "provider", "error"]));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("`client`"));
    }

    #[test]
    fn a_room_is_excused_by_name_only() {
        assert_eq!(stores_have_the_same_rooms(&store("cred-store-memory", &["lib", "provider"])), []);
        assert_eq!(stores_have_the_same_rooms(&store("cred-store-memory", &["lib"])).len(), 1);
        assert_eq!(stores_have_the_same_rooms(&store("cred-core", &["lib"])), []);
    }

    #[test]
    fn a_complete_manifest_passes() {
        assert_eq!(manifests_are_complete(&Tree::of(&[("crates/a/Cargo.toml", MANIFEST)])), []);
    }

    #[test]
    fn each_missing_setting_is_found() {
        for line in [
            "description = \"A\"\n",
            "rust-version.workspace = true\n",
            "workspace = true\n",
            "[package.metadata.docs.rs]\n",
        ] {
            let manifest = match line {
                "workspace = true\n" => MANIFEST.replace("[lints]\nworkspace = true\n", "[lints]\n"),
                _ => MANIFEST.replace(line, ""),
            };
            assert_eq!(
                manifests_are_complete(&Tree::of(&[("crates/a/Cargo.toml", &manifest)])).len(),
                1,
                "{line}"
            );
        }
        assert_eq!(manifests_are_complete(&Tree::of(&[("crates/a/README.md", "")])).len(), 1);
    }

    #[test]
    fn a_missing_readme_is_found() {
        assert_eq!(readmes_exist(&Tree::of(&[("crates/a/Cargo.toml", "")])).len(), 1);
        assert_eq!(readmes_exist(&Tree::of(&[("crates/a/README.md", "")])), []);
    }

    #[test]
    fn a_readme_that_nothing_compiles_is_found() {
        let found = |lib: &str, readme: &str, manifest: &str| {
            let tree = Tree::of(&[
                ("crates/a/src/lib.rs", lib),
                ("crates/a/README.md", readme),
                ("crates/a/Cargo.toml", manifest),
            ]);
            readmes_are_compiled(&tree).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let lib = format!("//! A.\n#[cfg(doctest)]\n{INCLUDED}\nstruct Readme;\n");
        let example = "# a\n\n```rust,no_run\nlet a = 1;\n```\n";
        assert_eq!(found(&lib, example, MANIFEST), "");
        assert!(found("//! A.\n", example, MANIFEST).starts_with("crates/a/src/lib.rs: no `#[doc"));
        assert!(found(&lib, "# a\n", MANIFEST).starts_with("crates/a/README.md: no example"));
        assert_eq!(found(&lib, "# a\n", "[package]\npublish = false\n"), "");
        assert_eq!(readmes_are_compiled(&Tree::of(&[("crates/a/README.md", "")])), []);
    }
}
