//! The README's first command: it ends with a value read back, and what it leaves on the disk tells none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails by panic says what it must")]

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
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "quickstart", "--"])
        .arg(&env_file)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TMPDIR", &kept)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let last = said.lines().last().unwrap();
    assert_eq!(last, format!("Read back and opened: FIRST = {}", VALUES[0]));
    assert!(said.contains("Stored for org:acme/app:web: FIRST, SECOND"), "{said}");

    let mut seen = 0;
    look_for_values(&kept, &mut seen);
    assert!(seen > VALUES.len(), "the key and each variable have a file: {seen}");
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
