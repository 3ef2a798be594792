//! `.env` and JSON, in and out.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::world::{World, files};

#[test]
fn an_env_file_comes_in_and_goes_out_again() {
    let world = World::new();
    world
        .write("project/.env", "# comment\nFIRST=plain\nexport SECOND='with $ sign'\nTHIRD=\"two\nlines\"\n");
    world.run(&["import", ".env", "--scope", "org:acme", "--dry-run"]).good().says("Would store 3 of 3");
    assert_eq!(world.run(&["list", "--flat"]).good().out, "");
    world.run(&["import", ".env", "--scope", "org:acme"]).good().says("Stored 3 of 3");
    assert_eq!(world.value("org:acme/THIRD"), "two\nlines");
    let out = world.run(&["export", "--scope", "org:acme", "--format", "env"]).good().out;
    assert_eq!(out, "FIRST='plain'\nSECOND='with $ sign'\nTHIRD='two\nlines'\n");
    world.write("project/again.env", &out);
    world.run(&["import", "again.env", "--scope", "org:again"]).good();
    assert_eq!(world.value("org:again/SECOND"), "with $ sign");
}

#[test]
fn what_is_there_is_left_alone_unless_told() {
    let world = World::new();
    world.store("A", "mine");
    world.write("project/.env", "A=theirs\nB=new\n");
    world.run(&["import", ".env"]).ends(10).says("A is there already");
    assert_eq!((world.value("A"), world.value("B")), ("mine".into(), "new".into()));
    world.run(&["import", ".env", "--replace"]).good();
    assert_eq!(world.value("A"), "theirs");
}

/// While another process has the store's lock, the import waits, and nothing is stored yet.
#[test]
fn what_comes_between_the_look_and_the_store_is_left_alone() {
    let world = World::new();
    world.store("A", "of somebody else");
    let store = world.path("home/.local/share/cred/project");
    let (path, bytes) =
        files(&store).into_iter().find(|(path, _)| path.to_string_lossy().ends_with(".enc.json")).unwrap();
    world.run(&["rm", "--yes", "A"]).good();
    world.write("project/.env", "A=mine\n");
    let lock = File::open(store.join(".lock")).unwrap();
    lock.lock().unwrap();
    let import = world.command(&["import", ".env"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(800));
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    lock.unlock().unwrap();
    let output = import.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(10) && said.contains("A is there already"), "{said}");
    assert_eq!(world.value("A"), "of somebody else");
}

#[test]
fn json_keeps_everything_and_is_private() {
    let world = World::with_other(true);
    world.fill(20);
    world.run(&["export", "--output", "all.json"]).good();
    let mode = std::fs::metadata(world.path("project/all.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    world.run(&["export", "--output", "all.json"]).ends(1).says("could not write");
    world.run(&["import", "all.json", "-p", "other"]).good().says("Stored 20 of 20");
    let both = ["dev", "other"].map(|profile| {
        let mut json = world.run(&["export", "-p", profile]).good().json();
        json.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|record| _ = record.as_object_mut().unwrap().remove("stored"));
        json
    });
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_file_that_would_be_read_differently_is_refused() {
    let world = World::new();
    world.write("project/.env", "A=1\nB=pa$word\n");
    world.run(&["import", ".env"]).ends(2).says("line 2");
    world.write("project/.env", "A=1\nA=2\n");
    world.run(&["import", ".env"]).ends(2).says("in the file twice");
    world.write("project/.env", "A=1\nA=\n");
    world.run(&["import", ".env"]).ends(2).says("in the file twice");
    assert_eq!(world.run(&["list", "--flat"]).good().out, "");
}

#[test]
fn two_credentials_that_would_be_one_variable_are_not_exported_as_one() {
    let world = World::new();
    world.store("org:acme/a-b", "1");
    world.store("org:acme/A_B", "2");
    world
        .run(&["export", "--scope", "org:acme", "--format", "env"])
        .ends(2)
        .says("would become the variable A_B");
    world.run(&["export", "--scope", "org:acme", "--format", "env", "--output", "out.env"]).ends(2);
    assert!(!world.path("project/out.env").exists(), "nothing stands in the way of the next try");
    world.run(&["export", "--scope", "org:acme"]).good();
}

#[test]
fn an_empty_variable_is_left_out_and_named() {
    let world = World::new();
    world.write("project/.env", "A=1\nB=\nC=''\n");
    let answer = world.run(&["import", ".env"]).good().says("Stored 1 of 1");
    assert!(answer.err.contains("B, C") && answer.err.contains("empty"), "{}", answer.err);
    assert_eq!(world.run(&["list", "--flat"]).good().out, "A\n");
    world.run(&["import", ".env", "-q", "--replace"]).good().says("B, C");
    let answer = world.run(&["import", ".env", "--replace", "--json"]).good();
    assert_eq!(answer.json()["empty"], serde_json::json!(["B", "C"]));
    assert_eq!(answer.err, "", "the document has it");
}

#[test]
fn an_object_with_one_name_twice_is_refused_with_its_place() {
    let world = World::new();
    for (args, text, place) in [
        (
            &["import", "-", "--format", "json"][..],
            "{\"path\": \"a\",\n\"fields\": {\"value\": \"hunter2\", \"value\": \"hunter3\"}}",
            "line 2 at column 38",
        ),
        (
            &["import", "-", "--format", "json"],
            "{\"path\": \"a\", \"fields\": {\"value\": \"1\"},\n\"tags\": {\"hunter\": \"1\", \"hunter\": \"2\"}}",
            "line 2",
        ),
        (&["import", "-", "--format", "json"], "{\"path\": \"a\", \"path\": \"hunter\"}", "line 1"),
        (&["set", "a", "--fields"], "{\"value\": \"hunter2\",\n\"value\": \"hunter3\"}", "line 2"),
    ] {
        let answer = world.run_with(args, text).ends(2).says("twice").says(place);
        assert!(!answer.err.contains("hunter"), "{}", answer.err);
    }
    assert_eq!(world.run(&["list", "--flat"]).good().out, "");
}
