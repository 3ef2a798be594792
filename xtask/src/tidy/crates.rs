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
}
