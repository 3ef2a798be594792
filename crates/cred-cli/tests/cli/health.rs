//! `validate` and `doctor`.

use std::os::unix::fs::PermissionsExt as _;

use crate::world::{World, files};

#[test]
fn findings_are_listed_and_set_the_exit_code() {
    let world = World::new();
    world.store("org:acme/fine", "1");
    world.run(&["validate"]).success().stderr_has("No findings: checked 1 credential of profile `dev`");
    world.run(&["set", "org:acme/soon", "--generate", "--expires", "3d"]).success();
    let over = r#"{"path": "org:acme/over", "fields": {"value": "1"}, "expires_at": "2020-01-01"}"#;
    world.run_with(&["import", "-", "--format", "json"], over).success();
    world.run(&["set", "org:acme/due", "--generate", "--rotation", "every:1ms"]).success();
    let (path, _) = files(&world.path("home"))
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().contains("fine"))
        .unwrap();
    std::fs::write(path, "garbage").unwrap();
    let out = world.run(&["validate"]).exits_with(9).out;
    for expected in [
        "org:acme/soon  expires soon",
        "org:acme/over  expired       2020-01-01",
        "org:acme/due   rotation due",
        "org:acme/fine  unreadable",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let json = world.run(&["validate", "--warn", "1h", "--json"]).exits_with(9).json();
    assert_eq!((json["checked"].as_u64(), json["credentials"].as_array().unwrap().len()), (Some(4), 3));
    world.run(&["validate", "org:other"]).success();
}

#[test]
fn every_finding_of_a_credential_is_listed() {
    let world = World::new();
    let stored = r#"{"path": "org:acme/login", "kind": "username-password", "expires_at": "2020-01-01",
        "rotation": "before-expiry:7d", "fields": {"username": "a", "password": ""}}"#;
    world.run_with(&["import", "-", "--format", "json"], stored).success();
    let key = "{\"path\": \"org:acme/key\", \"kind\": \"api-key\", \"fields\": {\"value\": \"hunter2\\n\"}}";
    world.run_with(&["import", "-", "--format", "json"], key).success();
    let out = world.run(&["validate"]).exits_with(9).out;
    let rows: Vec<_> = out.lines().skip(2).map(str::trim_end).collect();
    let expected = [
        ("org:acme/key    malformed     ", "field `value` begins or ends with a line break"),
        ("org:acme/login  expired       ", "2020-01-01"),
        ("org:acme/login  malformed     ", "field `password` is missing or empty"),
        ("org:acme/login  rotation due  ", "2019-12-25"),
    ];
    assert_eq!(rows.len(), expected.len(), "{out}");
    for (row, (start, detail)) in rows.iter().zip(expected) {
        assert!(row.starts_with(start) && row.contains(detail), "{row}");
    }
    assert!(!out.contains("hunter2"), "{out}");
    let json = world.run(&["validate", "--json"]).exits_with(9).json();
    assert_eq!((json["checked"].as_u64(), json["credentials"].as_array().unwrap().len()), (Some(2), 2));
    let login = &json["credentials"][1];
    assert_eq!((login["path"].as_str(), login["state"].as_str()), (Some("org:acme/login"), Some("expired")));
    let states: Vec<_> = login["findings"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["expired", "malformed", "rotation due"]);
}

#[test]
fn a_healthy_configuration_gets_no_advice_and_keeps_no_test_credential() {
    let world = World::new();
    world.store("a", "1");
    let output = world.run(&["doctor"]).success();
    for expected in [
        "the project's",
        "chosen by the line `profile`",
        "keys: ring main",
        "reachable, and accepts the login",
        "write: allowed",
        "read back: equal to what was written",
        "replace if unchanged: allowed",
        "list: allowed",
        "delete: allowed",
        "stored: 1 credential;",
    ] {
        assert!(output.out.contains(expected), "{expected}: {}", output.out);
    }
    assert!(!output.out.contains("to do"), "{}", output.out);
    assert_eq!(world.run(&["list", "--flat"]).success().out, "a\n");
    let read_only = world.run(&["doctor", "--read-only"]).success().out;
    assert!(read_only.contains("write: not tested"), "{read_only}");
}

#[test]
fn doctor_shows_the_limit_and_the_recommended_size_in_one_line() {
    let world = World::new();
    let line =
        "values of up to 16777216 bytes, sealed and encoded, at most 1048576 recommended; a write is visible";
    let text = world.run(&["doctor"]).success().out;
    assert!(text.lines().any(|found| found.contains(line)), "{text}");
    let json = world.run(&["doctor", "--json"]).success().json();
    let limits = json.as_array().unwrap().iter().find(|found| found["what"] == "limits").unwrap();
    assert!(limits["found"].as_str().unwrap().starts_with(line), "{limits}");
}

#[test]
fn problems_are_reported_with_a_fix() {
    let world = World::new();
    world.store("a", "1");
    let key = world.key_file();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = world.run(&["doctor"]).exits_with(9);
    assert!(output.out.contains("bad   key:") && output.out.contains("chmod 600"), "{}", output.out);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    world.run(&["key", "add", "next"]).success();
    let first = world.key_id();
    let without = world
        .read("project/cred.toml")
        .lines()
        .filter(|line| !line.starts_with(&format!("keys.{first}")))
        .collect::<Vec<_>>()
        .join("\n");
    world.write("project/cred.toml", &without);
    let output = world.run(&["doctor"]).exits_with(9);
    assert!(
        output.out.contains(&format!("sealed under keys that the ring does not have: {first}")),
        "{}",
        output.out
    );
    assert!(output.out.contains("to do: add each key"), "{}", output.out);
}

#[test]
fn a_wrong_key_with_the_right_id_is_found() {
    let world = World::new();
    world.store("a", "1");
    let key = world.key_file();
    let other = World::new();
    let theirs = other.key_file();
    std::fs::copy(theirs, key).unwrap();
    let doctor = world.run(&["doctor"]).exits_with(9).out;
    assert!(doctor.contains("bad   stored: "), "{doctor}");
    world.run(&["rekey", "--dry-run"]).exits_with(10);
}

#[test]
fn a_key_missing_from_the_ring_is_reported() {
    let world = World::with_other(true);
    world.store("a", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other"]).success();
    let doctor = world.run(&["doctor", "-p", "other"]).exits_with(9).out;
    assert!(doctor.contains("bad   keys in use"), "{doctor}");
}

#[test]
fn a_permanent_lookup_error_is_not_an_outage() {
    let world = World::new();
    world.store("a", "1");
    let (path, _) = files(&world.path("home"))
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().ends_with("a.enc.json"))
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["validate"]).exits_with(9);
}
