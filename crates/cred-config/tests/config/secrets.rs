//! Secrets in the configuration of a service.

use std::path::{Path, PathBuf};

use cred_config::{Error, SecretSource};
use cred_core::ExposeSecret as _;

use crate::folder::Folder;

fn text(source: &SecretSource, folder: &Folder) -> String {
    source.read(folder.root()).unwrap().expose_secret().to_owned()
}

fn problem(source: &SecretSource, folder: &Path) -> String {
    let error = source.read(folder).unwrap_err();
    assert!(matches!(error, Error::Secret { .. }));
    error.to_string()
}

#[test]
fn a_file_is_resolved_against_the_folder_and_read_without_one_line_ending() {
    let folder = Folder::new();
    let source: SecretSource = serde_json::from_str(r#"{"file": "s"}"#).unwrap();
    assert_eq!(source, SecretSource::File(PathBuf::from("s")));
    for (content, expected) in
        [("x", "x"), ("x\n", "x"), ("x\r\n", "x"), ("x\n\n", "x\n"), (" x ", " x "), ("", "")]
    {
        folder.write("s", content);
        assert_eq!(text(&source, &folder), expected, "{content:?}");
    }
    assert_eq!(text(&SecretSource::File(folder.path("s")), &Folder::new()), "");
}

#[test]
fn a_variable_is_read() {
    let path: SecretSource = serde_json::from_str(r#"{"env": "PATH"}"#).unwrap();
    assert_eq!(text(&path, &Folder::new()), std::env::var("PATH").unwrap());
    let unset = SecretSource::Env("CRED_CONFIG_UNSET".to_owned());
    let problem = problem(&unset, Path::new("/"));
    assert!(problem.contains("names a variable that is not set; set it") && !problem.contains("UNSET"));
}

#[test]
fn a_file_that_breaks_a_rule_is_rejected_with_the_fix() {
    let folder = Folder::new();
    let source = SecretSource::File(PathBuf::from("s"));
    let problem = || problem(&source, folder.root());
    assert!(problem().contains("could not be read (entity not found); check"), "{}", problem());
    folder.write("s", "x".repeat(64 * 1_024 + 1));
    assert!(problem().contains("is longer than 65536 bytes"), "{}", problem());
    folder.write("s", [0xff]);
    assert!(problem().contains("is not UTF-8 text"), "{}", problem());
    folder.write("s", "x");
    for (mode, expected) in
        [(0o640, "run `chmod 600`"), (0o604, "run `chmod 600`"), (0o602, "run `chmod go-w")]
    {
        folder.set_mode("s", mode);
        assert!(problem().contains(expected), "{}", problem());
        assert!(!problem().contains("cred.toml"), "without a cred.toml: {}", problem());
    }
    folder.set_mode("s", 0o600);
    folder.set_mode("", 0o777);
    assert!(problem().contains("is in a folder that other users can write"), "{}", problem());
}

#[test]
fn any_other_form_is_rejected_and_not_repeated() {
    for wrong in [
        r#""hunter2""#,
        "7316",
        "true",
        "null",
        r#"["hunter2"]"#,
        r#"{"hunter2": "x"}"#,
        r#"{"env": 7316}"#,
        r#"{"env": "hunter2!"}"#,
        r#"{"env": "", "file": "hunter2"}"#,
        r#"{"env": {"env": "hunter2"}}"#,
        r#"{"file": ""}"#,
        "{}",
    ] {
        let error = serde_json::from_str::<SecretSource>(wrong).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("7316"), "{shown}");
        assert!(shown.contains("env = \\\"NAME\\\"") || shown.contains("file = \\\"PATH\\\""), "{shown}");
    }
}
