//! What other programs read.

use serde_json::json;

use crate::world::{Answer, World, files};

#[test]
fn every_change_is_a_document() {
    let world = World::new();
    let answer = world.run(&["set", "org:acme/a", "--generate", "--json"]).good();
    assert_eq!(answer.json(), json!({"profile": "dev", "path": "org:acme/a"}));
    assert_eq!(answer.err, "");
    let rotated = world.run(&["rotate", "org:acme/a", "--generate", "--json"]).good().json();
    assert_eq!(rotated, json!({"profile": "dev", "path": "org:acme/a", "version": 2}));
    let first = world.key_id();
    let added = world.run(&["key", "add", "next", "--json"]).good().json();
    let file = world.path("home/.config/cred/keys/next.key");
    assert_eq!(added, json!({"ring": "main", "key": "next", "role": "seals", "made": file}));
    let added =
        world.run(&["key", "add", "third", "--inactive", "--file", "third.key", "--json"]).good().json();
    assert_eq!(added["role"], "opens");
    world.run(&["rekey", "-q"]).good();
    let retired = world.run(&["key", "retire", &first, "--json"]).good().json();
    assert_eq!((&retired["ring"], &retired["key"]), (&json!("main"), &json!(first)));
    assert!(retired["source"].as_str().unwrap().starts_with("file "), "{retired}");
    let removed = world.run(&["rm", "--yes", "org:acme/a", "--json"]).good().json();
    assert_eq!(removed, json!({"profile": "dev", "deleted": ["org:acme/a"], "failed": []}));
}

#[test]
fn what_fails_is_one_document() {
    let world = World::new();
    world.store("a", "1");
    let answer = world.run(&["rm", "--yes", "--json", "a", "b", "c"]).ends(10);
    assert_eq!(answer.json(), json!({"profile": "dev", "deleted": ["a"], "failed": ["b", "c"]}));
    let error = answer.error();
    assert_eq!(error["code"], 10);
    let failures = error["failures"].as_array().unwrap();
    assert_eq!(failures.iter().map(|one| &one["path"]).collect::<Vec<_>>(), ["b", "c"]);
    assert!(failures.iter().all(|one| one["code"] == 4 && one["error"].is_string()), "{error}");
    let answer = world.run(&["rm", "--yes", "--json", "b"]).ends(4);
    assert_eq!(answer.json()["failed"], json!(["b"]));
    assert_eq!(answer.error()["code"], 4);

    world.store("a", "1");
    world.store("b", "1");
    for (path, _) in files(&world.path("home/.local")) {
        if path.to_string_lossy().ends_with(".enc.json") {
            std::fs::write(path, "garbage").unwrap();
        }
    }
    let error = world.run(&["rekey", "--json"]).ends(10).error();
    assert_eq!(error["failures"].as_array().map(Vec::len), Some(2), "{error}");
}

#[test]
fn wrong_usage_is_a_document() {
    let world = World::new();
    for args in [
        &["--json", "nope"][..],
        &["set", "--json"],
        &["set", "not a path", "--json"],
        &["--json"],
        &["list", "--created-after", "soon", "--json"],
        &["run", "--json", "ls"],
    ] {
        let answer = world.run(args).ends(2);
        let error = answer.error();
        assert_eq!((error["code"].as_u64(), answer.out.as_str()), (Some(2), ""), "{args:?}");
        let text = error["error"].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains("error:") && !text.contains('\n'), "{args:?} {error}");
        assert!(error["hint"].is_string() && error["causes"].is_array(), "{args:?} {error}");
    }
    // What stands after `--` is the command's.
    let answer = world.run(&["set", "--", "--json", "b"]).ends(2).says("error: ");
    assert!(answer.err.contains("Usage:"), "{}", answer.err);
    world.run(&["--json", "--version"]).good();
    assert!(world.run(&["--json", "set", "--help"]).good().out.contains("Examples"));
}

/// Who gives a value where none is taken shows it to `ps` already; a log need not have it as well.
#[test]
fn what_was_given_in_a_wrong_place_is_not_repeated() {
    let world = World::new();
    for args in [
        &["set", "org:acme/a", "hunter2"][..],
        &["set", "org:acme/a", "-----BEGIN PRIVATE KEY----- hunter2"],
        &["get", "a", "--field", "value", "hunter2"],
        &["list", "--created-after", "hunter2"],
        &["import", ".env", "--format", "hunter2"],
        &["hunter2"],
    ] {
        for json in [false, true] {
            let mut command = world.command(args);
            if json {
                command.arg("--json");
            }
            let answer = Answer::of(command.spawn().unwrap()).ends(2).says("not shown");
            assert!(!answer.err.contains("hunter2"), "{args:?} {}", answer.err);
        }
    }
    world.run(&["set", "org:acme/a", "x"]).ends(2).says("a value is never an argument");
    world.run(&["set", "org:acme/a", "--feild", "x"]).ends(2).says("'--feild'");
    world.run(&["sett", "org:acme/a"]).ends(2).says("'sett'");
}

#[test]
fn a_warning_is_a_document() {
    let world = World::with_other(true);
    world.store("a", "1");
    let answer = world.run(&["migrate", "--from", "dev", "--to", "other", "--json"]).good();
    let warning: serde_json::Value = serde_json::from_str(answer.err.trim()).unwrap();
    assert!(warning["warning"].as_str().unwrap().contains("lacks main-"), "{warning}");
}

#[test]
fn quiet_or_not_what_is_left_is_named() {
    let world = World::with_other(true);
    world.store("HERE", "1");
    world.write("project/.env", "HERE=2\nNEW=3\n");
    let answer = world.run(&["import", ".env", "-q"]).ends(10).says("HERE is there already");
    assert!(!answer.err.contains("Stored"), "{}", answer.err);
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "-q"]).good();
    world.run_with(&["set", "HERE", "-p", "other"], "4").good();
    let answer = world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "-q"]).ends(10);
    assert!(answer.err.contains("HERE differs there in"), "{}", answer.err);
    assert!(!answer.err.contains("copied"), "{}", answer.err);
    let answer = world.run(&["import", ".env", "--json"]).ends(10);
    assert_eq!(answer.json()["left_alone"], json!(["HERE", "NEW"]));
    answer.error();
}

#[test]
fn a_mistyped_path_is_shown_and_draws_nothing() {
    let world = World::empty();
    for (args, shown) in [
        (&["get", "org;acme/x"][..], "org;acme/x"),
        (&["list", "org:"], "org:"),
        (&["run", "--scope", "a/b", "--", "true"], "a/b"),
        (&["rm", "a", "b\u{1b}[2Jc"], "b\\u{1b}[2Jc"),
    ] {
        world.run(args).ends(2).says(shown);
    }
}
