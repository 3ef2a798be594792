//! `migrate` and `diff`.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::world::{World, files};

#[test]
fn sealed_bytes_are_copied_unchanged() {
    let world = World::with_other(false);
    world.fill(25);
    world.run(&["diff", "dev", "other"]).exits_with(9);
    world
        .run(&["migrate", "--from", "dev", "--to", "other", "--dry-run"])
        .success()
        .stderr_has("25 would be copied");
    assert_eq!(world.run(&["list", "--flat", "-p", "other"]).success().out, "", "a dry run writes nothing");
    world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .success()
        .stderr_has("25 copied and read back, 0 already equal");
    world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .success()
        .stderr_has("0 copied and read back, 25 already equal");
    world.run(&["diff", "dev", "other"]).success().stderr_has("25 credentials equal");
    world.run(&["diff", "dev", "other", "--sealed"]).success();
}

#[test]
fn a_write_above_the_recommended_size_logs_one_warning_and_a_dry_run_none() {
    let mut world = World::with_other(false);
    world.set("CRED_LOG", "warn");
    // Base64 turns three bytes into four, so the sealed and encoded value exceeds 1 MiB.
    let secret = "hunter2 ".repeat(100 * 1_024);
    let migrate = ["migrate", "--from", "dev", "--to", "other", "--dry-run"];
    for (args, warnings) in [(&["set", "org:acme/long"][..], 1), (&migrate, 0), (&migrate[..5], 1)] {
        let log = world.run_with(args, &secret).success().err;
        let found: Vec<_> = log.lines().filter(|line| line.contains("larger than recommended")).collect();
        assert_eq!(found.len(), warnings, "{args:?}: {log}");
        for part in ["WARN", "provider=local", "path=org:acme/long", "recommended=1048576"] {
            assert!(found.iter().all(|line| line.contains(part)), "{part}: {log}");
        }
        assert!(!log.contains("hunter2"));
    }
}

#[test]
fn a_migration_warns_about_keys_missing_in_the_target_ring() {
    let world = World::with_other(true);
    world.fill(3);
    world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .success()
        .stderr_has("does not have these keys, so it cannot open their credentials: main-");
    world.run(&["get", "org:acme/team:t1/credential-1", "-p", "other"]).exits_with(8);
}

#[test]
fn resealed_copies_open_with_the_targets_key_only() {
    let world = World::with_other(true);
    world.fill(25);
    world.run(&["rotate", "org:acme/team:t1/credential-1", "--generate"]).success();
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).success().stderr_has("25 copied");
    world.run(&["diff", "dev", "other"]).success().stderr_has("25 credentials equal");
    world.run(&["diff", "dev", "other", "--sealed"]).exits_with(9);
    world
        .run(&["migrate", "--from", "dev", "--to", "other", "--reseal"])
        .success()
        .stderr_has("25 already equal");
    let versions = ["dev", "other"].map(|profile| {
        world.run(&["get", "org:acme/team:t1/credential-1", "-p", profile, "--json"]).success().json()
    });
    assert_eq!(versions[0], versions[1], "version and times are equal too");
}

#[test]
fn different_credentials_are_listed_and_left_unchanged() {
    let world = World::with_other(true);
    world.store("same", "1");
    world.store("changed", "theirs");
    world.store("only-here", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).success();
    world.run_with(&["set", "changed", "-p", "other"], "mine").success();
    world.run_with(&["set", "only-there", "-p", "other"], "1").success();
    world.run(&["rm", "--yes", "only-here", "-p", "other"]).success();
    let json = world.run(&["diff", "dev", "other", "--json"]).exits_with(9).json();
    assert_eq!(json["only_in_a"], serde_json::json!(["only-here"]));
    assert_eq!(json["only_in_b"], serde_json::json!(["only-there"]));
    assert_eq!(json["differ"][0][0], "changed");
    assert_eq!(json["same"], 1);

    world
        .run(&["migrate", "--from", "dev", "--to", "other", "--reseal"])
        .exits_with(10)
        .stderr_has("changed is different in the target");
    assert_eq!(world.run(&["get", "changed", "-p", "other"]).success().out, "mine");
    world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "--replace"]).success();
    assert_eq!(world.run(&["get", "changed", "-p", "other"]).success().out, "theirs");
    assert_eq!(
        world.run(&["get", "only-there", "-p", "other"]).success().out,
        "1",
        "a migration never deletes"
    );
}

#[test]
fn a_broken_credential_does_not_stop_a_migration() {
    let world = World::with_other(false);
    world.fill(10);
    let store = store_of(&world);
    let (victim, _) =
        files(&store).into_iter().find(|(path, _)| path.to_string_lossy().contains("credential-4")).unwrap();
    std::fs::write(&victim, "garbage").unwrap();
    let output = world
        .run(&["migrate", "--from", "dev", "--to", "other"])
        .exits_with(10)
        .stderr_has("9 copied")
        .stderr_has("1 failed");
    assert!(output.err.contains("credential-4"), "{}", output.err);
}

#[test]
fn a_migration_killed_repeatedly_loses_nothing_and_completes() {
    const COUNT: usize = 150;
    let world = World::with_other(true);
    world.fill(COUNT);
    let before = world.run(&["export"]).success().out;
    let other = world.path("home/other-store");
    let (mut in_the_middle, mut kill) = (0, 0);
    let begun = Instant::now();
    while kill < 8 || (in_the_middle == 0 && begun.elapsed() < Duration::from_secs(120)) {
        if count(&other) == COUNT {
            // The migration completed before it was killed: start again.
            std::fs::remove_dir_all(&other).unwrap();
        }
        kill += 1;
        let mut child =
            world.command(&["migrate", "--from", "dev", "--to", "other", "--reseal"]).spawn().unwrap();
        let goal = (1 + (kill - 1) % 8) * COUNT / 10;
        let begin = Instant::now();
        while count(&other) < goal && child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(60), "the migration makes no progress");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        in_the_middle += usize::from((1..COUNT).contains(&count(&other)));
    }
    assert!(in_the_middle > 0, "the migration was never killed in the middle");
    assert_eq!(world.run(&["export"]).success().out, before, "the source must be unchanged");
    let output =
        world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "--json"]).success().json();
    assert_eq!(output["copied"].as_u64().unwrap() + output["already_there"].as_u64().unwrap(), COUNT as u64);
    assert!(output["already_there"].as_u64().unwrap() > 0, "{output}");
    world.run(&["diff", "dev", "other"]).success();
}

/// The number of credentials in a local store.
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
fn a_copy_that_cannot_be_opened_counts_as_different() {
    let world = World::with_other(true);
    world.store("a", "1");
    for _ in 0..2 {
        world
            .run(&["migrate", "--from", "dev", "--to", "other"])
            .success()
            .stderr_has("does not have these keys, so it cannot open their credentials: main-");
    }
    let diff = world.run(&["diff", "dev", "other"]).exits_with(9);
    assert!(diff.out.contains("a: the copy cannot be opened with the key ring of its profile"), "{diff:?}");
    let reseal = ["migrate", "--from", "dev", "--to", "other", "--reseal"];
    // The target may be the same store under another name. Its credentials are not resealed for
    // other readers without --replace.
    world
        .run(&reseal)
        .exits_with(10)
        .stderr_has(
            "a is different in the target (the copy cannot be opened with the key ring of its profile); pass --replace to replace it",
        );
    world.run(&[&reseal[..], &["--replace"]].concat()).success().stderr_has("1 copied");
    assert_eq!(world.run(&["get", "a", "-p", "other"]).success().out, "1");
    world.run(&["diff", "dev", "other"]).success().stderr_has("1 credential equal");

    // The same if the value differs too.
    world.store("b", "1");
    world.run(&["migrate", "--from", "dev", "--to", "other"]).exits_with(10).stderr_has("1 copied");
    world.run_with(&["rotate", "b"], "2").success();
    assert!(
        world
            .run(&["diff", "dev", "other"])
            .exits_with(9)
            .out
            .contains("b: the copy cannot be opened with the key ring of its profile")
    );
    world.run(&[&reseal[..], &["--replace"]].concat()).success();
    assert_eq!(world.run(&["get", "b", "-p", "other"]).success().out, "2");
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
    world.run(&["key", "add", "other-key", "-p", "resealed"]).success();
    for (from, to, more) in [
        ("dev", "dev", &[][..]),
        ("dev", "same", &[]),
        ("linked", "dev", &["--replace"]),
        ("dev", "resealed", &["--reseal", "--replace"]),
        ("dev", "resealed", &["--dry-run"]),
    ] {
        let args = [&["migrate", "--from", from, "--to", to], more].concat();
        world.run(&args).exits_with(2).stderr_has("rekey");
    }
    assert_eq!(world.value("a"), "1");
    // With other file names, the same folder is another store.
    let apart = text.replace("operation_timeout = \"20s\"", "file_extension = \"sealed\"");
    world.write("project/cred.toml", &apart);
    world.run(&["migrate", "--from", "dev", "--to", "same"]).success().stderr_has("1 copied");
}
