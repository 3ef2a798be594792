//! The JSON output, and errors of the command line.

use serde_json::json;

use crate::world::{CommandOutput, World, files};

#[test]
fn every_change_prints_a_document() {
    let world = World::new();
    let output = world.run(&["set", "org:acme/a", "--generate", "--json"]).success();
    assert_eq!(output.json(), json!({"profile": "dev", "path": "org:acme/a"}));
    assert_eq!(output.err, "");
    let rotated = world.run(&["rotate", "org:acme/a", "--generate", "--json"]).success().json();
    assert_eq!(rotated, json!({"profile": "dev", "path": "org:acme/a", "version": 2}));
    let first = world.key_id();
    let added = world.run(&["key", "add", "next", "--json"]).success().json();
    let file = world.path("home/.config/cred/keys/next.key");
    assert_eq!(added, json!({"ring": "main", "key": "next", "role": "seals", "made": file}));
    let added =
        world.run(&["key", "add", "third", "--inactive", "--file", "third.key", "--json"]).success().json();
    assert_eq!(added["role"], "opens");
    world.run(&["rekey", "-q"]).success();
    let retired = world.run(&["key", "retire", &first, "--json"]).success().json();
    assert_eq!((&retired["ring"], &retired["key"]), (&json!("main"), &json!(first)));
    assert!(retired["source"].as_str().unwrap().starts_with("file "), "{retired}");
    let removed = world.run(&["rm", "--yes", "org:acme/a", "--json"]).success().json();
    assert_eq!(removed, json!({"profile": "dev", "deleted": ["org:acme/a"], "failed": []}));
}

#[test]
fn a_failure_is_one_document() {
    let world = World::new();
    world.store("a", "1");
    let output = world.run(&["rm", "--yes", "--json", "a", "b", "c"]).exits_with(10);
    assert_eq!(output.json(), json!({"profile": "dev", "deleted": ["a"], "failed": ["b", "c"]}));
    let error = output.error();
    assert_eq!(error["code"], 10);
    let failures = error["failures"].as_array().unwrap();
    assert_eq!(failures.iter().map(|one| &one["path"]).collect::<Vec<_>>(), ["b", "c"]);
    assert!(failures.iter().all(|one| one["code"] == 4 && one["error"].is_string()), "{error}");
    let output = world.run(&["rm", "--yes", "--json", "b"]).exits_with(4);
    assert_eq!(output.json()["failed"], json!(["b"]));
    assert_eq!(output.error()["code"], 4);

    world.store("a", "1");
    world.store("b", "1");
    for (path, _) in files(&world.path("home/.local")) {
        if path.to_string_lossy().ends_with(".enc.json") {
            std::fs::write(path, "garbage").unwrap();
        }
    }
    let error = world.run(&["rekey", "--json"]).exits_with(10).error();
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
        let output = world.run(args).exits_with(2);
        let error = output.error();
        assert_eq!((error["code"].as_u64(), output.out.as_str()), (Some(2), ""), "{args:?}");
        let text = error["error"].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains("error:") && !text.contains('\n'), "{args:?} {error}");
        assert!(error["hint"].is_string() && error["causes"].is_array(), "{args:?} {error}");
    }
    // An argument after `--` belongs to the command.
    let output = world.run(&["set", "--", "--json", "b"]).exits_with(2).stderr_has("error: ");
    assert!(output.err.contains("Usage:"), "{}", output.err);
    world.run(&["--json", "--version"]).success();
    assert!(world.run(&["--json", "set", "--help"]).success().out.contains("Examples"));
}

/// A value given as an argument is already visible in `ps`; a log must not contain it as well.
#[test]
fn a_possible_secret_in_a_wrong_place_is_not_repeated() {
    let world = World::new();
    for args in [
        &["set", "org:acme/a", "hunter2"][..],
        &["set", "org:acme/a", "-----BEGIN PRIVATE KEY----- hunter2"],
        &["get", "a", "--field", "value", "hunter2"],
        &["set", "a", "--generate", "hunter2"],
        &["set", "a", "--field", "password=hunter2"],
        &["get", "a", "--field", "password=hunter2"],
        &["set", "a", "--kind", "token=hunter2"],
        &["list", "--tag", "hunter2"],
        &["run", "--env", "hunter2", "--", "true"],
        &["key", "add", "hunter2="],
        &["hunter2"],
    ] {
        for json in [false, true] {
            let mut command = world.command(args);
            if json {
                command.arg("--json");
            }
            let output = CommandOutput::of(command.spawn().unwrap()).exits_with(2).stderr_has("not shown");
            assert!(!output.err.contains("hunter2"), "{args:?} {}", output.err);
        }
    }
    world.run(&["set", "org:acme/a", "x"]).exits_with(2).stderr_has("a value is never an argument");
    world.run(&["set", "org:acme/a", "--feild", "x"]).exits_with(2).stderr_has("'--feild'");
    world.run(&["sett", "org:acme/a"]).exits_with(2).stderr_has("'sett'");
}

#[test]
fn an_invalid_value_that_is_not_secret_is_shown() {
    let world = World::empty();
    for args in [
        &["list", "--created-after", "soon"][..],
        &["list", "--created-before", "soon"],
        &["set", "a", "--expires", "soon"],
        &["set", "a", "--rotation", "soon"],
        &["set", "a", "--generate", "5"],
        &["import", ".env", "--format", "soon"],
        &["validate", "--warn", "soon"],
        &["completions", "soon"],
    ] {
        let output = world.run(args).exits_with(2).stderr_has(&format!("'{}'", args.last().unwrap()));
        assert!(!output.err.contains("not shown"), "{args:?} {}", output.err);
    }
}

#[test]
fn a_warning_is_a_document() {
    let world = World::with_other(true);
    world.store("a", "1");
    let output = world.run(&["migrate", "--from", "dev", "--to", "other", "--json"]).success();
    let warning: serde_json::Value = serde_json::from_str(output.err.trim()).unwrap();
    assert!(
        warning["warning"]
            .as_str()
            .unwrap()
            .contains("does not have these keys, so it cannot open their credentials: main-"),
        "{warning}"
    );
}

#[test]
fn work_left_undone_is_listed_even_with_quiet() {
    let world = World::with_other(true);
    world.store("HERE", "1");
    world.write("project/.env", "HERE=2\nNEW=3\n");
    let output = world.run(&["import", ".env", "-q"]).exits_with(10).stderr_has("HERE already exists");
    assert!(!output.err.contains("Stored"), "{}", output.err);
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "-q"]).success();
    world.run_with(&["set", "HERE", "-p", "other"], "4").success();
    let output = world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "-q"]).exits_with(10);
    assert!(output.err.contains("HERE is different in the target"), "{}", output.err);
    assert!(!output.err.contains("copied"), "{}", output.err);
    let output = world.run(&["import", ".env", "--json"]).exits_with(10);
    assert_eq!(output.json()["left_alone"], json!(["HERE", "NEW"]));
    output.error();
}

#[test]
fn a_mistyped_path_is_shown_escaped() {
    let world = World::empty();
    for (args, shown) in [
        (&["get", "org;acme/x"][..], "org;acme/x"),
        (&["list", "org:"], "org:"),
        (&["run", "--scope", "a/b", "--", "true"], "a/b"),
        (&["rm", "a", "b\u{1b}[2Jc"], "b\\u{1b}[2Jc"),
    ] {
        world.run(args).exits_with(2).stderr_has(shown);
    }
}
