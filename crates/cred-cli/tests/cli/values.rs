//! `set`, `get`, `rotate`, `list` and `rm`.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::world::{World, wait_for_signal_handlers};

#[test]
fn a_new_user_stores_a_value_and_gets_it_back() {
    let world = World::new();
    world
        .run_with(&["set", "org:acme/stripe"], "sk_live\n")
        .success()
        .stderr_has("Stored org:acme/stripe in dev");
    assert_eq!(
        world.value("org:acme/stripe"),
        "sk_live",
        "the line end of the pipe is not part of the value"
    );
    world
        .run(&["get", "org:acme/nothing"])
        .exits_with(4)
        .stderr_has("nothing is stored under `org:acme/nothing`");
    world.run(&["get", "not a path"]).exits_with(2);
}

#[test]
fn a_value_comes_from_stdin_a_file_or_a_generator() {
    let world = World::new();
    world.run_with(&["set", "raw", "--raw"], "with end\n").success();
    assert_eq!(world.value("raw"), "with end\n");
    world.write("project/value.txt", "from a file\r\n");
    world.run(&["set", "file", "--file", "value.txt"]).success();
    assert_eq!(world.value("file"), "from a file\r\n", "a file is stored unchanged");
    world.run(&["rotate", "file", "--file", "value.txt"]).success();
    assert_eq!(world.value("file"), "from a file\r\n");
    world.run_with(&["set", "dash", "--file", "-"], "piped\n").success();
    world.run_with(&["rotate", "dash", "--file", "-"], "piped again\n").success();
    assert_eq!(world.value("dash"), "piped again");
    world.run(&["set", "made", "--generate"]).success();
    assert_eq!(world.value("made").len(), 32);
    world.run(&["set", "longer", "--generate", "64"]).success();
    assert_eq!(world.value("longer").len(), 64);
    world.run(&["set", "empty"]).exits_with(2).stderr_has("the field `value` is empty");
    world.run(&["set", "id", "the-value"]).exits_with(2);
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
    world.run_with(&args, fields).success();
    world.run(&["get", "db"]).exits_with(2).stderr_has("several fields: password, username");
    assert_eq!(world.run(&["get", "db", "--field", "password"]).success().out, "hunter2");
    let json = world.run(&["get", "db", "--json"]).success().json();
    assert_eq!(json["kind"], "username-password");
    assert_eq!(json["fields"]["username"], "app");
    assert_eq!(json["tags"]["env"], "prod");
    assert_eq!(json["expires_at"], "2100-01-31T00:00:00Z");
    assert_eq!(json["rotation"], "every:90d");
    assert_eq!(json["stored"]["version"], 1);
    world.run_with(&["set", "x", "--kind", "username-password"], "one").exits_with(2).stderr_has("--fields");
}

#[test]
fn a_rotation_keeps_everything_but_the_value() {
    let world = World::new();
    let fields = r#"{"username": "app", "password": "old"}"#;
    world
        .run_with(&["set", "db", "--kind", "username-password", "--fields", "--tag", "env=prod"], fields)
        .success();
    let before = world.run(&["get", "db", "--json"]).success().json();
    world.run_with(&["rotate", "db", "--field", "password"], "new").success().stderr_has("version 2");
    let after = world.run(&["get", "db", "--json"]).success().json();
    assert_eq!(after["fields"]["password"], "new");
    assert_eq!(after["fields"]["username"], "app");
    assert_eq!(after["tags"], before["tags"]);
    assert_eq!(after["stored"]["created_at"], before["stored"]["created_at"]);
    world.run_with(&["rotate", "absent"], "x").exits_with(4);
}

#[test]
fn the_creator_of_the_profile_is_recorded_and_shown() {
    let world = World::new();
    world.store("before", "1");
    let config = world.read("project/cred.toml");
    world
        .write("project/cred.toml", &config.replacen("backend =", "created_by = \"payments\"\nbackend =", 1));
    world.run(&["trust"]).success();
    world.store("after", "1");
    world.run_with(&["rotate", "before"], "2").success();
    world.run_with(&["rotate", "after"], "2").success();
    let stored = |id: &str| world.run(&["get", id, "--json"]).success().json()["stored"].clone();
    assert_eq!(stored("after")["created_by"], "payments");
    assert_eq!(stored("before").get("created_by"), None);
}

#[test]
fn a_list_needs_no_key_and_filters() {
    let mut world = World::new();
    world.store("unscoped", "1");
    world.store("org:acme/team:a/x", "2");
    world.run_with(&["set", "org:acmes/y", "--tag", "env=prod"], "3").success();
    // A missing key: `list` does not need it.
    let config = world.read("project/cred.toml");
    let without = config
        .lines()
        .map(|line| if line.starts_with("keys.") { "keys.ACTIVE = { env = \"ABSENT\" }" } else { line });
    let text = without.collect::<Vec<_>>().join("\n").replace("ACTIVE", &active(&config));
    world.write("home/no-key.toml", &text);
    let file = world.path("home/no-key.toml").to_string_lossy().into_owned();
    world.set("CRED_CONFIG", &file);

    assert_eq!(world.run(&["list", "--flat"]).success().out, "unscoped\norg:acme/team:a/x\norg:acmes/y\n");
    assert_eq!(
        world.run(&["list"]).success().out,
        "- unscoped\norg:acme\n  team:a\n    - x\norg:acmes\n  - y\n"
    );
    assert_eq!(world.run(&["list", "org:acme", "--flat"]).success().out, "org:acme/team:a/x\n");
    assert_eq!(
        world.run(&["list", "--tag", "env=prod", "--json"]).success().json(),
        serde_json::json!(["org:acmes/y"])
    );
    assert_eq!(world.run(&["list", "--created-after", "1h", "--flat"]).success().out.lines().count(), 3);
    assert_eq!(world.run(&["list", "--created-before", "1h", "--flat"]).success().out, "");
    world.run(&["get", "unscoped"]).exits_with(8).stderr_has("names a variable that is not set");
}

fn active(config: &str) -> String {
    let line = config.lines().find(|line| line.starts_with("active")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn a_deletion_needs_confirmation_or_yes() {
    let world = World::new();
    world.store("a", "1");
    world.run(&["rm", "a"]).exits_with(2).stderr_has("--yes");
    assert_eq!(world.value("a"), "1");
    world.run(&["rm", "--yes", "a"]).success().stderr_has("Deleted a from dev of ");
    world.run(&["rm", "--yes", "a"]).exits_with(4);
    world.store("b", "1");
    world.run(&["rm", "--yes", "a", "b"]).exits_with(10).stderr_has("1 of 2");
    world.run(&["get", "b"]).exits_with(4);
}

#[test]
fn json_covers_errors_and_quiet_prints_nothing() {
    let world = World::new();
    let output = world.run(&["get", "absent", "--json"]).exits_with(4);
    let error: serde_json::Value = serde_json::from_str(output.err.trim()).unwrap();
    assert_eq!(error["code"], 4);
    assert!(error["error"].as_str().unwrap().contains("absent"), "{error}");
    world.run(&["set", "x", "--generate", "-q"]).success();
    let quiet = world.run(&["set", "x", "--generate", "-q"]).success();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
}

#[test]
fn completion_scripts_contain_the_commands() {
    let world = World::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.run(&["completions", shell]).success().out;
        assert!(script.contains("migrate"), "{shell}");
    }
}

#[test]
fn a_missing_field_is_not_rotated() {
    let world = World::new();
    world.run_with(&["set", "db", "--kind", "username-password", "--fields", "-"], "").exits_with(2);
    world.write(
        "project/db.json",
        r#"[{"path":"db","kind":"username-password","fields":{"username":"u","password":"p"}}]"#,
    );
    world.run(&["import", "db.json"]).success();
    world
        .run_with(&["rotate", "db", "--field", "passwrod"], "new")
        .exits_with(2)
        .stderr_has("password, username");
    world.store("one", "1");
    world.run_with(&["rotate", "one", "--field", "password"], "new").exits_with(2);
    assert_eq!(world.value("one"), "1");
}

/// The rotation reads the credential again after the value has arrived.
#[test]
fn a_rotation_keeps_changes_made_while_it_waits_for_its_value() {
    let world = World::new();
    world.write(
        "project/db.json",
        r#"[{"path":"db","kind":"username-password","fields":{"username":"u0","password":"p0"}}]"#,
    );
    world.run(&["import", "db.json"]).success();
    let mut late =
        world.command(&["rotate", "db", "--field", "password"]).stdin(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    world.run_with(&["rotate", "db", "--field", "username"], "u1").success();
    late.stdin.take().unwrap().write_all(b"p1").unwrap();
    assert!(late.wait().unwrap().success());
    let fields = &world.run(&["get", "db", "--json"]).success().json()["fields"];
    assert_eq!((fields["username"].as_str(), fields["password"].as_str()), (Some("u1"), Some("p1")));
}

#[test]
fn a_late_value_is_sealed_under_the_key_active_when_it_arrives() {
    let world = World::new();
    let first = world.key_id();
    let mut late = world.command(&["set", "late"]).stdin(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    world.run(&["key", "add", "next"]).success();
    world.run(&["key", "retire", &first]).success();
    late.stdin.take().unwrap().write_all(b"value").unwrap();
    assert!(late.wait().unwrap().success());
    assert_eq!(world.value("late"), "value");
}

/// A signal that arrives while a value is read is not lost.
#[test]
fn a_rotation_interrupted_while_it_waits_for_its_value_changes_nothing() {
    let world = World::new();
    world.store("a", "old");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut child = world.command(&["rotate", "a"]).stdin(Stdio::piped()).spawn().unwrap();
        wait_for_signal_handlers(&mut child);
        std::thread::sleep(Duration::from_millis(300));
        let kill = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        std::thread::sleep(Duration::from_millis(100));
        // The process may have ended by now.
        let _ = child.stdin.take().unwrap().write_all(b"new");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(world.value("a"), "old");
    }
}

#[test]
fn a_field_that_does_not_fit_its_kind_is_rejected_before_the_value_is_read() {
    let world = World::new();
    let output = world.run_with(&["set", "a", "--field", "password"], "hunter2").exits_with(2);
    assert!(output.err.contains("`opaque`") && output.err.contains("--kind"), "{}", output.err);
    world
        .run_with(&["set", "a", "--field", "password", "--kind", "username-password"], "x")
        .exits_with(2)
        .stderr_has("--fields");
    world.run_with(&["set", "a", "--field", "value"], "1").success();
    world.run_with(&["set", "b", "--field", "dsn", "--kind", "database"], "2").success();
    assert_eq!(world.run(&["get", "b", "--field", "dsn"]).success().out, "2");
}

#[test]
fn an_unknown_field_error_lists_the_fields() {
    let world = World::new();
    let fields = r#"{"username": "u", "password": "p"}"#;
    world.run_with(&["set", "db", "--kind", "username-password", "--fields"], fields).success();
    for args in [&["get", "db", "--field", "nope"][..], &["run", "--env", "A=db#nope", "--", "true"]] {
        let output = world
            .run(args)
            .exits_with(2)
            .stderr_has("`db` has no field `nope`")
            .stderr_has("password, username");
        assert!(!output.err.contains("field_names"), "{}", output.err);
    }
}
