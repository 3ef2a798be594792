//! Between profiles, killed on the way.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::world::{World, files};

#[test]
fn sealed_bytes_go_as_they_are() {
    let world = World::with_other(false);
    world.fill(25);
    world.run(&["diff", "dev", "other"]).ends(9);
    world.run(&["migrate", "--from", "dev", "--to", "other", "--dry-run"]).good().says("25 would be copied");
    assert_eq!(world.run(&["list", "--flat", "-p", "other"]).good().out, "", "a dry run writes nothing");
    world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .good()
        .says("25 copied and read back, 0 already there");
    world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .good()
        .says("0 copied and read back, 25 already there");
    world.run(&["diff", "dev", "other"]).good().says("25 are the same");
    world.run(&["diff", "dev", "other", "--sealed"]).good();
}

#[test]
fn a_write_above_the_recommended_size_logs_one_warning_and_a_dry_run_none() {
    let mut world = World::with_other(false);
    world.set("CRED_LOG", "warn");
    // Three bytes are four of base64: above 1 MiB once it is sealed and encoded.
    let secret = "hunter2 ".repeat(100 * 1_024);
    let migrate = ["migrate", "--from", "dev", "--to", "other", "--dry-run"];
    for (args, warnings) in [(&["set", "org:acme/long"][..], 1), (&migrate, 0), (&migrate[..5], 1)] {
        let log = world.run_with(args, &secret).good().err;
        let found: Vec<_> = log.lines().filter(|line| line.contains("larger than recommended")).collect();
        assert_eq!(found.len(), warnings, "{args:?}: {log}");
        for part in ["WARN", "provider=local", "path=org:acme/long", "recommended=1048576"] {
            assert!(found.iter().all(|line| line.contains(part)), "{part}: {log}");
        }
        assert!(!log.contains("hunter2"));
    }
}

#[test]
fn without_the_other_sides_key_it_is_said_what_will_not_open() {
    let world = World::with_other(true);
    world.fill(3);
    world.run(&["migrate", "--from", "dev", "--to", "other"]).good().says("lacks main-");
    world.run(&["get", "org:acme/team:t1/credential-1", "-p", "other"]).ends(8);
}

#[test]
fn resealed_it_opens_with_the_other_sides_key_alone() {
    let world = World::with_other(true);
    world.fill(25);
    world.run(&["rotate", "org:acme/team:t1/credential-1", "--generate"]).good();
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).good().says("25 copied");
    world.run(&["diff", "dev", "other"]).good().says("25 are the same");
    world.run(&["diff", "dev", "other", "--sealed"]).ends(9);
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).good().says("25 already there");
    let versions = ["dev", "other"].map(|profile| {
        world.run(&["get", "org:acme/team:t1/credential-1", "-p", profile, "--json"]).good().json()
    });
    assert_eq!(versions[0], versions[1], "history included");
}

#[test]
fn what_differs_is_named_and_left_alone() {
    let world = World::with_other(true);
    world.store("same", "1");
    world.store("changed", "theirs");
    world.store("only-here", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).good();
    world.run_with(&["set", "changed", "-p", "other"], "mine").good();
    world.run_with(&["set", "only-there", "-p", "other"], "1").good();
    world.run(&["rm", "--yes", "only-here", "-p", "other"]).good();
    let json = world.run(&["diff", "dev", "other", "--json"]).ends(9).json();
    assert_eq!(json["only_in_a"], serde_json::json!(["only-here"]));
    assert_eq!(json["only_in_b"], serde_json::json!(["only-there"]));
    assert_eq!(json["differ"][0][0], "changed");
    assert_eq!(json["same"], 1);

    world
        .run(&["migrate", "--from", "dev", "--to", "other", "--reseal"])
        .ends(10)
        .says("changed differs there");
    assert_eq!(world.run(&["get", "changed", "-p", "other"]).good().out, "mine");
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "--replace"]).good();
    assert_eq!(world.run(&["get", "changed", "-p", "other"]).good().out, "theirs");
    assert_eq!(world.run(&["get", "only-there", "-p", "other"]).good().out, "1", "nothing is ever deleted");
}

#[test]
fn a_broken_one_stops_no_other() {
    let world = World::with_other(false);
    world.fill(10);
    let store = store_of(&world);
    let (victim, _) =
        files(&store).into_iter().find(|(path, _)| path.to_string_lossy().contains("credential-4")).unwrap();
    std::fs::write(&victim, "garbage").unwrap();
    let answer =
        world.run(&["migrate", "--from", "dev", "--to", "other"]).ends(10).says("9 copied").says("1 failed");
    assert!(answer.err.contains("credential-4"), "{}", answer.err);
}

#[test]
fn killed_again_and_again_it_loses_nothing_and_goes_on() {
    const COUNT: usize = 150;
    let world = World::with_other(true);
    world.fill(COUNT);
    let before = world.run(&["export"]).good().out;
    let other = world.path("home/other-store");
    let (mut in_the_middle, mut kill) = (0, 0);
    let begun = Instant::now();
    while kill < 8 || (in_the_middle == 0 && begun.elapsed() < Duration::from_secs(120)) {
        if count(&other) == COUNT {
            // It was done before it was killed: anew.
            std::fs::remove_dir_all(&other).unwrap();
        }
        kill += 1;
        let mut child =
            world.command(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).spawn().unwrap();
        let goal = (1 + (kill - 1) % 8) * COUNT / 10;
        let begin = Instant::now();
        while count(&other) < goal && child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(60), "it makes no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        in_the_middle += usize::from((1..COUNT).contains(&count(&other)));
    }
    assert!(in_the_middle > 0, "it was never killed in the middle");
    assert_eq!(world.run(&["export"]).good().out, before, "the side that is read is as it was");
    let answer =
        world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "--json"]).good().json();
    assert_eq!(answer["copied"].as_u64().unwrap() + answer["already_there"].as_u64().unwrap(), COUNT as u64);
    assert!(answer["already_there"].as_u64().unwrap() > 0, "{answer}");
    world.run(&["diff", "dev", "other"]).good();
}

/// How many credentials stand in a local store.
fn count(store: &Path) -> usize {
    let named = |folder: &Path| {
        std::fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut count = 0;
    for entry in named(store) {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        count += if path.is_dir() { self::count(&path) } else { 1 };
    }
    count
}

fn store_of(world: &World) -> std::path::PathBuf {
    let config = world.read("project/cred.toml");
    let line = config.lines().find(|line| line.starts_with("base_path")).unwrap().to_owned();
    line.split('"').nth(1).unwrap().into()
}

#[test]
fn a_copy_that_does_not_open_is_neither_there_for_good_nor_the_same() {
    let world = World::with_other(true);
    world.store("a", "1");
    for _ in 0..2 {
        world.run(&["migrate", "--from", "dev", "--to", "other"]).good().says("lacks main-");
    }
    let diff = world.run(&["diff", "dev", "other"]).ends(9);
    assert!(diff.out.contains("a: does not open there"), "{diff:?}");
    let reseal = ["migrate", "--from", "dev", "--to", "other", "--reseal"];
    // The other side may be this one under another name: what its readers open is not sealed for
    // others unasked.
    world.run(&reseal).ends(10).says("a differs there in does not open there; --replace");
    world.run(&[&reseal[..], &["--replace"]].concat()).good().says("1 copied");
    assert_eq!(world.run(&["get", "a", "-p", "other"]).good().out, "1");
    world.run(&["diff", "dev", "other"]).good().says("1 are the same");

    // Nor where it is another value by now.
    world.store("b", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other"]).ends(10).says("1 copied");
    world.run_with(&["rotate", "b"], "2").good();
    assert!(world.run(&["diff", "dev", "other"]).ends(9).out.contains("b: does not open there"));
    world.run(&[&reseal[..], &["--replace"]].concat()).good();
    assert_eq!(world.run(&["get", "b", "-p", "other"]).good().out, "2");
}

#[test]
fn two_profiles_of_one_store_are_not_migrated() {
    let world = World::new();
    world.store("a", "1");
    let store = store_of(&world);
    std::os::unix::fs::symlink(&store, world.path("home/link")).unwrap();
    let mut text = world.read("project/cred.toml");
    for (name, place, ring) in [
        ("same", store.display().to_string(), "main"),
        ("linked", world.path("home/link").display().to_string(), "main"),
        ("resealed", format!("{}/../project/", store.display()), "other"),
    ] {
        text += &format!(
            "\n[profiles.{name}]\nbackend = \"local\"\nring = \"{ring}\"\nbase_path = \"{place}\"\noperation_timeout = \"20s\"\n"
        );
    }
    world.write("project/cred.toml", &text);
    world.run(&["key", "add", "other-key", "-p", "resealed"]).good();
    for (from, to, more) in [
        ("dev", "dev", &[][..]),
        ("dev", "same", &[]),
        ("linked", "dev", &["--replace"]),
        ("dev", "resealed", &["--reseal", "--replace"]),
        ("dev", "resealed", &["--dry-run"]),
    ] {
        let args = [&["migrate", "--from", from, "--to", to], more].concat();
        world.run(&args).ends(2).says("rekey");
    }
    assert_eq!(world.value("a"), "1");
    // A store of other names in the same folder is another one.
    let apart = text.replace("operation_timeout = \"20s\"", "file_extension = \"sealed\"");
    world.write("project/cred.toml", &apart);
    world.run(&["migrate", "--from", "dev", "--to", "same"]).good().says("1 copied");
}
