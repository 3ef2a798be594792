//! One credential that is broken, among others that are not.

use crate::world::{World, files};

/// A world with `other`, a store of its own under the same ring, where `dev` has `fine-a`, `broken`
/// and `fine-z`.
fn world() -> World {
    let world = World::with_other(false);
    for path in ["org:acme/fine-a", "org:acme/broken", "org:acme/fine-z"] {
        world.store(path, "1");
    }
    world
}

/// Breaks the credential `broken` below a folder of the world.
fn break_it(world: &World, folder: &str) {
    let (path, _) = files(&world.path(folder))
        .into_iter()
        .find(|(path, _)| path.to_string_lossy().ends_with("broken.enc.json"))
        .unwrap();
    std::fs::write(path, "garbage").unwrap();
}

const DEV: &str = "home/.local/share/cred/project";
const OTHER: &str = "home/other-store";

#[test]
fn a_diff_goes_on_with_the_others() {
    let world = world();
    world.run(&["migrate", "--from", "dev", "--to", "other"]).good();
    break_it(&world, OTHER);
    let answer = world.run(&["diff", "dev", "other"]).ends(10).says("2 are the same").says("org:acme/broken");
    assert!(answer.err.contains("could not compare 1 of 3 credentials"), "{}", answer.err);
    let answer = world.run(&["diff", "dev", "other", "--json"]).ends(10);
    assert_eq!(answer.json()["failed"], serde_json::json!(["org:acme/broken"]));
    assert_eq!(answer.json()["same"], 2);
    let error = answer.error();
    assert_eq!((error["code"].as_u64(), error["failures"][0]["code"].as_u64()), (Some(10), Some(8)));
    assert_eq!(error["failures"][0]["path"], "org:acme/broken");
}

#[test]
fn what_does_not_open_stops_no_diff() {
    let world = World::with_other(true);
    world.store("theirs", "1");
    world.store("fine", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).good();
    // Under the key of `other`, which the ring of `dev` lacks.
    let store = files(&world.path(OTHER));
    let (from, bytes) = store.iter().find(|(path, _)| path.ends_with("theirs.enc.json")).unwrap();
    let to = world.path(DEV).join(from.strip_prefix(world.path(OTHER)).unwrap());
    std::fs::write(to, bytes).unwrap();
    world.run_with(&["set", "theirs", "-p", "other"], "2").good();
    world.run(&["diff", "dev", "other"]).ends(10).says("1 are the same").says("`theirs`");
}

#[test]
fn an_export_of_a_subset_says_so() {
    let world = world();
    break_it(&world, DEV);
    let subset = "could not export 1 of 3 credentials";
    let answer = world.run(&["export"]).ends(10).says("org:acme/broken").says(subset);
    let paths = |json: serde_json::Value| -> Vec<String> {
        json.as_array().unwrap().iter().map(|record| record["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths(answer.json()), ["org:acme/fine-a", "org:acme/fine-z"]);
    world.run(&["export", "-q", "-o", "some.json"]).ends(10).says(subset);
    assert_eq!(paths(serde_json::from_str(&world.read("project/some.json")).unwrap()).len(), 2);
    let answer = world.run(&["export", "--scope", "org:acme", "--format", "env"]).ends(10).says(subset);
    assert_eq!(answer.out, "FINE_A='1'\nFINE_Z='1'\n");
    // A file with nothing in it would stand in the way of the next try.
    world.run(&["rm", "--yes", "org:acme/fine-a", "org:acme/fine-z"]).good();
    world.run(&["export", "-o", "none.json"]).ends(10).says("1 of 1");
    assert!(!world.path("project/none.json").exists());
}

#[test]
fn the_others_are_counted_by_key_and_none_is_retired() {
    let world = world();
    let first = world.key_id();
    world.run(&["key", "add", "next"]).good();
    world.run(&["rekey"]).good();
    break_it(&world, DEV);
    let answer = world.run(&["key", "list", "--count", "--json"]).ends(10);
    assert_eq!(answer.json()[1]["credentials"], 2);
    assert_eq!(answer.error()["failures"][0]["path"], "org:acme/broken");
    let answer = world.run(&["key", "retire", &first]).ends(10).says("org:acme/broken");
    assert!(answer.err.contains("could not read 1 credential of dev"), "{}", answer.err);
    world.run(&["rm", "--yes", "org:acme/broken"]).good();
    world.run(&["key", "retire", &first]).good();
}

#[test]
fn a_migration_goes_on_where_the_first_one_there_is_broken() {
    let world = world();
    world.run(&["migrate", "--from", "dev", "--to", "other"]).good();
    world.run(&["rm", "--yes", "-p", "other", "org:acme/fine-z"]).good();
    break_it(&world, OTHER);
    let answer =
        world.run(&["migrate", "--from", "dev", "--to", "other"]).ends(10).says("1 copied").says("1 failed");
    assert!(answer.err.contains("org:acme/broken"), "{}", answer.err);
    world.run(&["get", "-p", "other", "org:acme/fine-z"]).good();
}

#[test]
fn a_migration_that_replaces_mends_what_is_broken_there() {
    let world = world();
    world.run(&["migrate", "--from", "dev", "--to", "other"]).good();
    break_it(&world, OTHER);
    let replace = ["migrate", "--from", "dev", "--to", "other", "--replace"];
    world.run(&[&replace[..], &["--dry-run"]].concat()).good().says("1 would be copied");
    world.run(&["get", "-p", "other", "org:acme/broken"]).ends(8);
    world
        .run(&replace)
        .good()
        .says("1 copied")
        .says("2 already there")
        .says("could not be read there, and is replaced: it is no");
    world.run(&["diff", "dev", "other"]).good();
}

#[test]
fn a_dry_import_says_what_the_import_does() {
    let world = world();
    world.run(&["export", "-o", "all.json"]).good();
    world.run(&["rm", "--yes", "org:acme/fine-z"]).good();
    break_it(&world, DEV);
    let import = ["import", "all.json", "--json"];
    let dry = world.run(&[&import[..], &["--dry-run"]].concat()).ends(10).json();
    let done = world.run(&import).ends(10).json();
    for list in ["stored", "left_alone", "failed"] {
        assert_eq!(dry[list], done[list], "{list}");
    }
    assert_eq!(done["stored"], serde_json::json!(["org:acme/fine-z"]));
}
