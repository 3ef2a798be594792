//! `import` and `export` of `.env` and JSON files.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::world::{World, files};

#[test]
fn an_env_file_is_imported_and_exported() {
    let world = World::new();
    world
        .write("project/.env", "# comment\nFIRST=plain\nexport SECOND='with $ sign'\nTHIRD=\"two\nlines\"\n");
    world
        .run(&["import", ".env", "--scope", "org:acme", "--dry-run"])
        .success()
        .stderr_has("Would store 3 of 3");
    assert_eq!(world.run(&["list", "--flat"]).success().out, "");
    world.run(&["import", ".env", "--scope", "org:acme"]).success().stderr_has("Stored 3 of 3");
    assert_eq!(world.value("org:acme/THIRD"), "two\nlines");
    let out = world.run(&["export", "--scope", "org:acme", "--format", "env"]).success().out;
    assert_eq!(out, "FIRST='plain'\nSECOND='with $ sign'\nTHIRD='two\nlines'\n");
    world.write("project/again.env", &out);
    world.run(&["import", "again.env", "--scope", "org:again"]).success();
    assert_eq!(world.value("org:again/SECOND"), "with $ sign");
}

#[test]
fn existing_credentials_are_kept_unless_replace_is_given() {
    let world = World::new();
    world.store("A", "mine");
    world.write("project/.env", "A=theirs\nB=new\n");
    world.run(&["import", ".env"]).exits_with(10).stderr_has("A already exists");
    assert_eq!((world.value("A"), world.value("B")), ("mine".into(), "new".into()));
    world.run(&["import", ".env", "--replace"]).success();
    assert_eq!(world.value("A"), "theirs");
}

/// While another process holds the lock of the store, the import waits and has stored nothing.
#[test]
fn a_credential_stored_during_an_import_is_kept() {
    let world = World::new();
    world.store("A", "of another process");
    let store = world.path("home/.local/share/cred/project");
    let (path, bytes) =
        files(&store).into_iter().find(|(path, _)| path.to_string_lossy().ends_with(".enc.json")).unwrap();
    world.run(&["rm", "--yes", "A"]).success();
    world.write("project/.env", "A=mine\n");
    let lock = File::open(store.join(".lock")).unwrap();
    lock.lock().unwrap();
    let import = world.command(&["import", ".env"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(800));
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    lock.unlock().unwrap();
    let output = import.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(10) && stderr.contains("A already exists"), "{stderr}");
    assert_eq!(world.value("A"), "of another process");
}

#[test]
fn a_json_export_is_complete_and_private() {
    let world = World::with_other(true);
    world.fill(20);
    world.run(&["export", "--output", "all.json"]).success();
    let mode = std::fs::metadata(world.path("project/all.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    world.run(&["export", "--output", "all.json"]).exits_with(1).stderr_has("could not write");
    world.run(&["import", "all.json", "-p", "other"]).success().stderr_has("Stored 20 of 20");
    let both = ["dev", "other"].map(|profile| {
        let mut json = world.run(&["export", "-p", profile]).success().json();
        json.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|record| _ = record.as_object_mut().unwrap().remove("stored"));
        json
    });
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_file_that_readers_read_differently_is_rejected() {
    let world = World::new();
    world.write("project/.env", "A=1\nB=pa$word\n");
    world.run(&["import", ".env"]).exits_with(2).stderr_has("line 2");
    world.write("project/.env", "A=1\nA=2\n");
    world.run(&["import", ".env"]).exits_with(2).stderr_has("twice");
    world.write("project/.env", "A=1\nA=\n");
    world.run(&["import", ".env"]).exits_with(2).stderr_has("twice");
    assert_eq!(world.run(&["list", "--flat"]).success().out, "");
}

#[test]
fn two_credentials_with_the_same_variable_are_not_exported() {
    let world = World::new();
    world.store("org:acme/a-b", "1");
    world.store("org:acme/A_B", "2");
    world
        .run(&["export", "--scope", "org:acme", "--format", "env"])
        .exits_with(2)
        .stderr_has("would both become the variable A_B");
    world.run(&["export", "--scope", "org:acme", "--format", "env", "--output", "out.env"]).exits_with(2);
    assert!(!world.path("project/out.env").exists(), "a failed export must leave no file");
    world.run(&["export", "--scope", "org:acme"]).success();
}

#[test]
fn an_empty_variable_is_skipped_and_listed() {
    let world = World::new();
    world.write("project/.env", "A=1\nB=\nC=''\n");
    let output = world.run(&["import", ".env"]).success().stderr_has("Stored 1 of 1");
    assert!(output.err.contains("B, C") && output.err.contains("empty"), "{}", output.err);
    assert_eq!(world.run(&["list", "--flat"]).success().out, "A\n");
    world.run(&["import", ".env", "-q", "--replace"]).success().stderr_has("B, C");
    let output = world.run(&["import", ".env", "--replace", "--json"]).success();
    assert_eq!(output.json()["empty"], serde_json::json!(["B", "C"]));
    assert_eq!(output.err, "", "the document lists the empty variables");
}

#[test]
fn a_duplicate_json_name_is_rejected_with_its_place() {
    let world = World::new();
    for (args, text, place) in [
        (
            &["import", "-", "--format", "json"][..],
            "{\"path\": \"a\",\n\"fields\": {\"value\": \"hunter2\", \"value\": \"hunter3\"}}",
            "line 2, column 38",
        ),
        (
            &["import", "-", "--format", "json"],
            "{\"path\": \"a\", \"fields\": {\"value\": \"1\"},\n\"tags\": {\"hunter\": \"1\", \"hunter\": \"2\"}}",
            "line 2",
        ),
        (&["import", "-", "--format", "json"], "{\"path\": \"a\", \"path\": \"hunter\"}", "line 1"),
        (&["set", "a", "--fields"], "{\"value\": \"hunter2\",\n\"value\": \"hunter3\"}", "line 2"),
    ] {
        let output = world.run_with(args, text).exits_with(2).stderr_has("duplicate name").stderr_has(place);
        assert!(!output.err.contains("hunter"), "{}", output.err);
    }
    assert_eq!(world.run(&["list", "--flat"]).success().out, "");
}
