//! Nothing in the tree is true of one machine only.

use super::sources::numbered;
use super::{Finding, Tree};

/// Folders that mark a path as one machine's. Put together at run time, or this file would be found itself.
const FOLDERS: [&str; 3] = ["work", "root", "farm"];

pub(super) fn no_paths_of_a_machine(tree: &Tree) -> Vec<Finding> {
    let needles = FOLDERS.map(|folder| format!("/{folder}/"));
    let mut findings = Vec::new();
    for (path, text) in tree.files() {
        for (number, line) in numbered(text) {
            if needles.iter().any(|needle| has_root(line, needle)) {
                findings.push(Finding::line(
                    path,
                    number,
                    "a path of a machine; write it relative to the checkout",
                ));
            }
        }
    }
    findings
}

/// Whether the needle stands where a path begins: `docs/work/x` is a folder of the project.
fn has_root(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || ['_', '.', '-'].contains(&c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        no_paths_of_a_machine(&Tree::of(&[("docs/a.md", text)])).len()
    }

    #[test]
    fn a_path_of_a_machine_is_found() {
        for folder in FOLDERS {
            assert_eq!(found(&format!("in (/{folder}/main)")), 1);
            assert_eq!(found(&format!("/{folder}/main")), 1);
        }
    }

    #[test]
    fn a_folder_of_the_project_passes() {
        assert_eq!(found(&format!("in docs/{}/main and a {} of art", "work", "work")), 0);
    }
}
