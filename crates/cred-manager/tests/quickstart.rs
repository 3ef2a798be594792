//! The example `quickstart`: it reads a value back, and neither its output nor the files that it
//! writes contain one.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

const ENV_FILE: &str = "FIRST=the-first-fake-value-to-look-for\nSECOND=\"another fake value\"\n";
const VALUES: [&str; 2] = ["the-first-fake-value-to-look-for", "another fake value"];

#[test]
fn the_quickstart_reads_a_value_back_and_leaves_no_plaintext() {
    let folder = tempfile::tempdir().unwrap();
    let env_file = folder.path().join("app.env");
    std::fs::write(&env_file, ENV_FILE).unwrap();
    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let (ended, output) = run_example(&env_file, &kept);
    assert!(ended, "{output}");
    let length = VALUES[0].len();
    assert!(output.contains(&format!("Read back and opened: FIRST has {length} characters")), "{output}");
    assert!(output.contains("Stored for org:acme/app:web: FIRST, SECOND"), "{output}");
    assert!(VALUES.iter().all(|value| !output.contains(value)), "a value was printed: {output}");

    let mut seen = 0;
    look_for_values(&kept, &mut seen);
    assert!(seen > VALUES.len(), "the key and each variable have a file: {seen}");
}

#[test]
fn an_invalid_line_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let env_file = folder.path().join("app.env");
    std::fs::write(&env_file, format!("FIRST {}\n", VALUES[0])).unwrap();
    let (ended, output) = run_example(&env_file, folder.path());
    assert!(!ended && output.contains("is not NAME=value") && !output.contains(VALUES[0]), "{output}");
}

/// Whether it succeeded, and its output.
fn run_example(env_file: &Path, temporary: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "quickstart", "--"])
        .arg(env_file)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TMPDIR", temporary)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

fn look_for_values(folder: &Path, seen: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let place = entry.unwrap().path();
        if place.is_dir() {
            look_for_values(&place, seen);
            continue;
        }
        *seen += 1;
        let bytes = std::fs::read(&place).unwrap();
        for value in VALUES {
            let found = bytes.windows(8).any(|window| value.as_bytes().windows(8).any(|part| part == window));
            assert!(!found, "eight bytes of a value are in {}", place.display());
        }
    }
}
