//! One credential after another.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::world::{World, until_it_listens};

#[test]
fn a_new_user_stores_a_value_and_gets_it_back() {
    let world = World::new();
    world.run_with(&["set", "org:acme/stripe"], "sk_live\n").good().says("Stored org:acme/stripe in dev");
    assert_eq!(world.value("org:acme/stripe"), "sk_live", "the line end of the pipe is none of the value");
    world.run(&["get", "org:acme/nothing"]).ends(4).says("nothing is stored under `org:acme/nothing`");
    world.run(&["get", "not a path"]).ends(2);
}

#[test]
fn a_value_comes_from_stdin_a_file_or_nobody() {
    let world = World::new();
    world.run_with(&["set", "raw", "--raw"], "with end\n").good();
    assert_eq!(world.value("raw"), "with end\n");
    world.write("project/value.txt", "from a file\r\n");
    world.run(&["set", "file", "--file", "value.txt"]).good();
    assert_eq!(world.value("file"), "from a file\r\n", "a file is stored unchanged");
    world.run(&["rotate", "file", "--file", "value.txt"]).good();
    assert_eq!(world.value("file"), "from a file\r\n");
    world.run_with(&["set", "dash", "--file", "-"], "piped\n").good();
    world.run_with(&["rotate", "dash", "--file", "-"], "piped again\n").good();
    assert_eq!(world.value("dash"), "piped again");
    world.run(&["set", "made", "--generate"]).good();
    assert_eq!(world.value("made").len(), 32);
    world.run(&["set", "longer", "--generate", "64"]).good();
    assert_eq!(world.value("longer").len(), 64);
    world.run(&["set", "empty"]).ends(2).says("value is empty");
    world.run(&["set", "id", "the-value"]).ends(2);
}

#[test]
fn fields_and_kinds_come_back() {
    let world = World::new();
    let fields = r#"{"username": "app", "password": "hunter2"}"#;
    let kind = ["--kind", "username-password", "--fields"];
    let args = [
        &["set", "db", "--tag", "env=prod", "--expires", "2100-01-31", "--rotation", "every:90d"],
        &kind[..],
    ]
    .concat();
    world.run_with(&args, fields).good();
    world.run(&["get", "db"]).ends(2).says("several fields: password, username");
    assert_eq!(world.run(&["get", "db", "--field", "password"]).good().out, "hunter2");
    let json = world.run(&["get", "db", "--json"]).good().json();
    assert_eq!(json["kind"], "username-password");
    assert_eq!(json["fields"]["username"], "app");
    assert_eq!(json["tags"]["env"], "prod");
    assert_eq!(json["expires_at"], "2100-01-31T00:00:00Z");
    assert_eq!(json["rotation"], "every:90d");
    assert_eq!(json["stored"]["version"], 1);
    world.run_with(&["set", "x", "--kind", "username-password"], "one").ends(2).says("--fields");
}

#[test]
fn a_rotation_keeps_what_is_around_the_value() {
    let world = World::new();
    let fields = r#"{"username": "app", "password": "old"}"#;
    world
        .run_with(&["set", "db", "--kind", "username-password", "--fields", "--tag", "env=prod"], fields)
        .good();
    let before = world.run(&["get", "db", "--json"]).good().json();
    world.run_with(&["rotate", "db", "--field", "password"], "new").good().says("version 2");
    let after = world.run(&["get", "db", "--json"]).good().json();
    assert_eq!(after["fields"]["password"], "new");
    assert_eq!(after["fields"]["username"], "app");
    assert_eq!(after["tags"], before["tags"]);
    assert_eq!(after["stored"]["created_at"], before["stored"]["created_at"]);
    world.run_with(&["rotate", "absent"], "x").ends(4);
}

#[test]
fn the_creator_of_the_profile_is_recorded_and_shown() {
    let world = World::new();
    world.store("before", "1");
    let config = world.read("project/cred.toml");
    world
        .write("project/cred.toml", &config.replacen("backend =", "created_by = \"payments\"\nbackend =", 1));
    world.run(&["trust"]).good();
    world.store("after", "1");
    world.run_with(&["rotate", "before"], "2").good();
    world.run_with(&["rotate", "after"], "2").good();
    let stored = |id: &str| world.run(&["get", id, "--json"]).good().json()["stored"].clone();
    assert_eq!(stored("after")["created_by"], "payments");
    assert_eq!(stored("before").get("created_by"), None);
}

#[test]
fn a_list_needs_no_key_and_filters() {
    let mut world = World::new();
    world.store("unscoped", "1");
    world.store("org:acme/team:a/x", "2");
    world.run_with(&["set", "org:acmes/y", "--tag", "env=prod"], "3").good();
    // A key that is not there: whoever lists does not need it.
    let config = world.read("project/cred.toml");
    let without = config
        .lines()
        .map(|line| if line.starts_with("keys.") { "keys.ACTIVE = { env = \"ABSENT\" }" } else { line });
    let text = without.collect::<Vec<_>>().join("\n").replace("ACTIVE", &active(&config));
    world.write("home/no-key.toml", &text);
    let file = world.path("home/no-key.toml").to_string_lossy().into_owned();
    world.set("CRED_CONFIG", &file);

    assert_eq!(world.run(&["list", "--flat"]).good().out, "unscoped\norg:acme/team:a/x\norg:acmes/y\n");
    assert_eq!(
        world.run(&["list"]).good().out,
        "- unscoped\norg:acme\n  team:a\n    - x\norg:acmes\n  - y\n"
    );
    assert_eq!(world.run(&["list", "org:acme", "--flat"]).good().out, "org:acme/team:a/x\n");
    assert_eq!(
        world.run(&["list", "--tag", "env=prod", "--json"]).good().json(),
        serde_json::json!(["org:acmes/y"])
    );
    assert_eq!(world.run(&["list", "--created-after", "1h", "--flat"]).good().out.lines().count(), 3);
    assert_eq!(world.run(&["list", "--created-before", "1h", "--flat"]).good().out, "");
    world.run(&["get", "unscoped"]).ends(8).says("names a variable that is not set");
}

fn active(config: &str) -> String {
    let line = config.lines().find(|line| line.starts_with("active")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn a_deletion_asks_unless_told() {
    let world = World::new();
    world.store("a", "1");
    world.run(&["rm", "a"]).ends(2).says("--yes");
    assert_eq!(world.value("a"), "1");
    world.run(&["rm", "--yes", "a"]).good().says("Deleted a from dev of ");
    world.run(&["rm", "--yes", "a"]).ends(4);
    world.store("b", "1");
    world.run(&["rm", "--yes", "a", "b"]).ends(10).says("1 of 2");
    world.run(&["get", "b"]).ends(4);
}

#[test]
fn what_is_machine_read_is_json_on_both_sides() {
    let world = World::new();
    let answer = world.run(&["get", "absent", "--json"]).ends(4);
    let error: serde_json::Value = serde_json::from_str(answer.err.trim()).unwrap();
    assert_eq!(error["code"], 4);
    assert!(error["error"].as_str().unwrap().contains("absent"), "{error}");
    world.run(&["set", "x", "--generate", "-q"]).good();
    let quiet = world.run(&["set", "x", "--generate", "-q"]).good();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
}

#[test]
fn the_shells_know_the_commands() {
    let world = World::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.run(&["completions", shell]).good().out;
        assert!(script.contains("migrate"), "{shell}");
    }
}

#[test]
fn a_field_that_is_not_there_is_not_rotated() {
    let world = World::new();
    world.run_with(&["set", "db", "--kind", "username-password", "--fields", "-"], "").ends(2);
    world.write(
        "project/db.json",
        r#"[{"path":"db","kind":"username-password","fields":{"username":"u","password":"p"}}]"#,
    );
    world.run(&["import", "db.json"]).good();
    world.run_with(&["rotate", "db", "--field", "passwrod"], "new").ends(2).says("password, username");
    world.store("one", "1");
    world.run_with(&["rotate", "one", "--field", "password"], "new").ends(2);
    assert_eq!(world.value("one"), "1");
}

/// Who waits for a value meanwhile keeps what others have done.
#[test]
fn a_rotation_whose_value_comes_late_undoes_nothing() {
    let world = World::new();
    world.write(
        "project/db.json",
        r#"[{"path":"db","kind":"username-password","fields":{"username":"u0","password":"p0"}}]"#,
    );
    world.run(&["import", "db.json"]).good();
    let mut late =
        world.command(&["rotate", "db", "--field", "password"]).stdin(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    world.run_with(&["rotate", "db", "--field", "username"], "u1").good();
    late.stdin.take().unwrap().write_all(b"p1").unwrap();
    assert!(late.wait().unwrap().success());
    let fields = &world.run(&["get", "db", "--json"]).good().json()["fields"];
    assert_eq!((fields["username"].as_str(), fields["password"].as_str()), (Some("u1"), Some("p1")));
}

#[test]
fn a_value_that_comes_late_is_sealed_under_the_key_of_then() {
    let world = World::new();
    let first = world.key_id();
    let mut late = world.command(&["set", "late"]).stdin(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    world.run(&["key", "add", "next"]).good();
    world.run(&["key", "retire", &first]).good();
    late.stdin.take().unwrap().write_all(b"value").unwrap();
    assert!(late.wait().unwrap().success());
    assert_eq!(world.value("late"), "value");
}

/// A signal that comes while a value is read is not forgotten.
#[test]
fn a_rotation_that_is_ended_while_it_waits_for_its_value_rotates_nothing() {
    let world = World::new();
    world.store("a", "old");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut child = world.command(&["rotate", "a"]).stdin(Stdio::piped()).spawn().unwrap();
        until_it_listens(&mut child);
        std::thread::sleep(Duration::from_millis(300));
        let kill = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        std::thread::sleep(Duration::from_millis(100));
        // It may have ended by then.
        let _ = child.stdin.take().unwrap().write_all(b"new");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(world.value("a"), "old");
    }
}

#[test]
fn a_field_that_does_not_fit_its_kind_is_told_before_the_value() {
    let world = World::new();
    let answer = world.run_with(&["set", "a", "--field", "password"], "hunter2").ends(2);
    assert!(answer.err.contains("`opaque`") && answer.err.contains("--kind"), "{}", answer.err);
    world
        .run_with(&["set", "a", "--field", "password", "--kind", "username-password"], "x")
        .ends(2)
        .says("--fields");
    world.run_with(&["set", "a", "--field", "value"], "1").good();
    world.run_with(&["set", "b", "--field", "dsn", "--kind", "database"], "2").good();
    assert_eq!(world.run(&["get", "b", "--field", "dsn"]).good().out, "2");
}

#[test]
fn the_fields_that_there_are_are_named() {
    let world = World::new();
    let fields = r#"{"username": "u", "password": "p"}"#;
    world.run_with(&["set", "db", "--kind", "username-password", "--fields"], fields).good();
    for args in [&["get", "db", "--field", "nope"][..], &["run", "--env", "A=db#nope", "--", "true"]] {
        let answer = world.run(args).ends(2).says("`db` has no field `nope`").says("password, username");
        assert!(!answer.err.contains("field_names"), "{}", answer.err);
    }
}
