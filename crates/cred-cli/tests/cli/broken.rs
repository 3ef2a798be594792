//! One broken credential among intact ones.

use crate::world::{World, files};

/// A world whose profile `dev` has `fine-a`, `broken` and `fine-z`. The profile `other` has its own
/// store and the same ring.
fn world() -> World {
    let world = World::with_other(false);
    for path in ["org:acme/fine-a", "org:acme/broken", "org:acme/fine-z"] {
        world.store(path, "1");
    }
    world
}

/// Breaks the credential `broken` below a folder of the world.
fn corrupt(world: &World, folder: &str) {
    let (path, _) = files(&world.path(folder))
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().ends_with("broken.enc.json"))
        .unwrap();
    std::fs::write(path, "garbage").unwrap();
}

const DEV: &str = "home/.local/share/cred/project";
const OTHER: &str = "home/other-store";

#[test]
fn a_broken_credential_does_not_stop_a_diff() {
    let world = world();
    world.run(&["migrate", "--from", "dev", "--to", "other"]).success();
    corrupt(&world, OTHER);
    let output = world
        .run(&["diff", "dev", "other"])
        .exits_with(10)
        .stderr_has("2 credentials equal")
        .stderr_has("org:acme/broken");
    assert!(output.err.contains("could not compare 1 of 3 credentials"), "{}", output.err);
    let output = world.run(&["diff", "dev", "other", "--json"]).exits_with(10);
    assert_eq!(output.json()["failed"], serde_json::json!(["org:acme/broken"]));
    assert_eq!(output.json()["same"], 2);
    let error = output.error();
    assert_eq!((error["code"].as_u64(), error["failures"][0]["code"].as_u64()), (Some(10), Some(8)));
    assert_eq!(error["failures"][0]["path"], "org:acme/broken");
}

#[test]
fn a_credential_that_cannot_be_opened_does_not_stop_a_diff() {
    let world = World::with_other(true);
    world.store("theirs", "1");
    world.store("fine", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).success();
    // Sealed under the key of `other`, which the ring of `dev` does not have.
    let store = files(&world.path(OTHER));
    let (from, bytes) = store.iter().find(|(path, _)| path.ends_with("theirs.enc.json")).unwrap();
    let to = world.path(DEV).join(from.strip_prefix(world.path(OTHER)).unwrap());
    std::fs::write(to, bytes).unwrap();
    world.run_with(&["set", "theirs", "-p", "other"], "2").success();
    world
        .run(&["diff", "dev", "other"])
        .exits_with(10)
        .stderr_has("1 credential equal")
        .stderr_has("`theirs`");
}

#[test]
fn an_incomplete_export_reports_it() {
    let world = world();
    corrupt(&world, DEV);
    let subset = "could not export 1 of 3 credentials";
    let output = world.run(&["export"]).exits_with(10).stderr_has("org:acme/broken").stderr_has(subset);
    let paths = |json: serde_json::Value| -> Vec<String> {
        json.as_array().unwrap().iter().map(|record| record["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths(output.json()), ["org:acme/fine-a", "org:acme/fine-z"]);
    world.run(&["export", "-q", "-o", "some.json"]).exits_with(10).stderr_has(subset);
    assert_eq!(paths(serde_json::from_str(&world.read("project/some.json")).unwrap()).len(), 2);
    let output =
        world.run(&["export", "--scope", "org:acme", "--format", "env"]).exits_with(10).stderr_has(subset);
    assert_eq!(output.out, "FINE_A='1'\nFINE_Z='1'\n");
    // An empty file would make the next attempt fail.
    world.run(&["rm", "--yes", "org:acme/fine-a", "org:acme/fine-z"]).success();
    world.run(&["export", "-o", "none.json"]).exits_with(10).stderr_has("1 of 1");
    assert!(!world.path("project/none.json").exists());
}

#[test]
fn a_broken_credential_does_not_stop_a_count_but_blocks_a_retirement() {
    let world = world();
    let first = world.key_id();
    world.run(&["key", "add", "next"]).success();
    world.run(&["rekey"]).success();
    corrupt(&world, DEV);
    let output = world.run(&["key", "list", "--count", "--json"]).exits_with(10);
    assert_eq!(output.json()[1]["credentials"], 2);
    assert_eq!(output.error()["failures"][0]["path"], "org:acme/broken");
    let output = world.run(&["key", "retire", &first]).exits_with(10).stderr_has("org:acme/broken");
    assert!(output.err.contains("could not read 1 credential of profile `dev`"), "{}", output.err);
    world.run(&["rm", "--yes", "org:acme/broken"]).success();
    world.run(&["key", "retire", &first]).success();
}

#[test]
fn a_migration_continues_if_the_first_credential_in_the_target_is_broken() {
    let world = world();
    world.run(&["migrate", "--from", "dev", "--to", "other"]).success();
    world.run(&["rm", "--yes", "-p", "other", "org:acme/fine-z"]).success();
    corrupt(&world, OTHER);
    let output = world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .exits_with(10)
        .stderr_has("1 copied")
        .stderr_has("1 failed");
    assert!(output.err.contains("org:acme/broken"), "{}", output.err);
    world.run(&["get", "-p", "other", "org:acme/fine-z"]).success();
}

#[test]
fn a_migration_with_replace_fixes_broken_credentials_in_the_target() {
    let world = world();
    world.run(&["migrate", "--from", "dev", "--to", "other"]).success();
    corrupt(&world, OTHER);
    let replace = ["migrate", "--from", "dev", "--to", "other", "--replace"];
    world.run(&[&replace[..], &["--dry-run"]].concat()).success().stderr_has("1 would be copied");
    world.run(&["get", "-p", "other", "org:acme/broken"]).exits_with(8);
    world
        .run(&replace)
        .success()
        .stderr_has("1 copied")
        .stderr_has("2 already equal")
        .stderr_has("could not be read in the target and was replaced: it is not an envelope");
    world.run(&["diff", "dev", "other"]).success();
}

#[test]
fn a_dry_import_reports_the_same_as_the_import() {
    let world = world();
    world.run(&["export", "-o", "all.json"]).success();
    world.run(&["rm", "--yes", "org:acme/fine-z"]).success();
    corrupt(&world, DEV);
    let import = ["import", "all.json", "--json"];
    let dry = world.run(&[&import[..], &["--dry-run"]].concat()).exits_with(10).json();
    let done = world.run(&import).exits_with(10).json();
    for list in ["stored", "left_alone", "failed"] {
        assert_eq!(dry[list], done[list], "{list}");
    }
    assert_eq!(done["stored"], serde_json::json!(["org:acme/fine-z"]));
}
