//! The key ring: adding, replacing and retiring keys.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::terminal::Terminal;
use crate::world::{World, files};

#[test]
fn a_key_is_replaced_without_losing_anything() {
    let world = World::new();
    world.fill(30);
    world.write("project/cred.toml", &format!("# my comment\n{}", world.read("project/cred.toml")));
    let first = world.key_id();
    world.run(&["key", "add", "next"]).success().stderr_has("is now the active key");
    assert!(world.read("project/cred.toml").starts_with("# my comment\n"), "comments must be kept");
    let counts = |world: &World| {
        let json = world.run(&["key", "list", "--count", "--json"]).success().json();
        json.as_array()
            .unwrap()
            .iter()
            .map(|key| (key["id"].as_str().unwrap().to_owned(), key["credentials"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&world), [(first.clone(), 30), ("next".into(), 0)]);
    world
        .run(&["key", "retire", &first])
        .exits_with(8)
        .stderr_has("30 credentials in profile `dev` are sealed under it");
    world.run(&["rekey", "--dry-run"]).success().stderr_has("30 of 30");
    assert_eq!(counts(&world)[0].1, 30);
    world.run(&["rekey"]).success().stderr_has("30 of 30 credentials sealed under next");
    world.run(&["rekey"]).success().stderr_has("0 of 30");
    world.run(&["key", "retire", "next"]).exits_with(2).stderr_has("cannot retire the active key");
    world.run(&["key", "retire", &first]).success();
    assert_eq!(counts(&world), [("next".into(), 30)]);
    assert_eq!(world.value("org:acme/team:t3/credential-3"), "value of 3");
    world.run(&["key", "retire", &first]).exits_with(2).stderr_has("has no key");
}

#[test]
fn a_rekey_lists_the_first_hundred_failures_and_counts_the_others() {
    let world = World::new();
    world.fill(120);
    for (path, _) in files(&world.path("home/.local")) {
        if path.to_string_lossy().ends_with(".enc.json") {
            std::fs::write(path, "garbage").unwrap();
        }
    }
    let output = world.run(&["rekey", "--json"]).exits_with(10);
    let document = output.json();
    assert_eq!(document["failed"].as_array().map(Vec::len), Some(100));
    assert_eq!((&document["failed_count"], &document["not_tried"]), (&120.into(), &0.into()));
    assert!(document["stopped"].is_null(), "{document}");
    assert_eq!(output.error()["failures"].as_array().map(Vec::len), Some(100));
    world
        .run(&["rekey"])
        .exits_with(10)
        .stderr_has("120 credentials under the key `")
        .stderr_has("(20 of them not listed)")
        .stderr_has("run it again");
}

#[test]
fn a_key_id_is_never_reused() {
    let world = World::new();
    world.run(&["key", "add", "next", "--inactive"]).success();
    world.run(&["key", "add", "next"]).exits_with(2).stderr_has("already");
    let list = world.run(&["key", "list"]).success().out;
    assert!(
        list.contains("next") && list.lines().filter(|line| line.contains("seals")).count() == 1,
        "{list}"
    );
}

#[test]
fn a_wrong_key_and_a_missing_key_have_different_errors() {
    let world = World::new();
    world.store("a", "1");
    let file = world.key_file();
    std::fs::remove_file(&file).unwrap();
    world.run(&["get", "a"]).exits_with(8).stderr_has("could not be read");
    world.run(&["key", "add", "other", "--file", &file]).exits_with(0);
    world.run(&["get", "a"]).exits_with(8).stderr_has("was not sealed under the key that the ring knows");
}

/// Adds the key `pw`, and types these texts at its prompts.
fn add_passphrase(world: &World, typed: [&str; 2]) -> Terminal {
    let mut terminal = Terminal::start(world, &["key", "add", "pw", "--passphrase"]);
    for (question, word) in ["Passphrase of pw: ", "Repeat the passphrase: "].into_iter().zip(typed) {
        terminal.expect(question);
        terminal.type_keys(&format!("{word}\r"));
    }
    terminal
}

#[test]
fn a_mistyped_passphrase_seals_nothing() {
    let world = World::new();
    world.store("a", "1");
    add_passphrase(&world, ["correct horse", "correct horse"]).exits_with(0);
    let config = world.read("project/cred.toml");
    assert!(config.contains("check = ") && !config.contains("horse"), "{config}");
    let ask = |args: &[&str], word: &str, code| {
        let mut terminal = Terminal::start(&world, args);
        terminal.expect("Passphrase of key pw: ");
        terminal.type_keys(&format!("{word}\r"));
        terminal.exits_with(code)
    };
    let stored = files(&world.path("home"));
    for args in [&["rekey"][..], &["set", "b", "--generate"]] {
        let screen = ask(args, "corect horse", 8);
        assert!(screen.contains("wrong passphrase for the key `pw` of ring `main`"), "{screen}");
        assert!(!screen.contains("corect"), "{screen}");
    }
    assert_eq!(files(&world.path("home")), stored);
    ask(&["rekey"], "correct horse", 0);
    assert!(ask(&["get", "a", "--show"], "correct horse", 0).contains("1\r\n"));
}

#[test]
fn a_new_passphrase_is_typed_twice() {
    let world = World::new();
    let before = world.read("project/cred.toml");
    let screen = add_passphrase(&world, ["correct horse", "corect horse"]).exits_with(2);
    assert!(screen.contains("differ"), "{screen}");
    let mut terminal = Terminal::start(&world, &["key", "add", "pw", "--passphrase"]);
    terminal.expect("Passphrase of pw: ");
    terminal.type_keys("\r");
    terminal.expect("is empty");
    terminal.exits_with(8);
    world.run(&["key", "add", "pw", "--passphrase"]).exits_with(2).stderr_has("this process has no terminal");
    assert_eq!(world.read("project/cred.toml"), before);
}

#[test]
fn a_short_passphrase_is_rejected_and_a_generated_one_is_typed_once() {
    let world = World::new();
    let before = world.read("project/cred.toml");
    let mut terminal = Terminal::start(&world, &["key", "add", "pw", "--passphrase"]);
    terminal.expect("Passphrase of pw: ");
    terminal.type_keys("elevenchars\r");
    assert!(terminal.exits_with(2).contains("at least 12 characters"));
    assert_eq!(world.read("project/cred.toml"), before);

    let mut terminal = Terminal::start(&world, &["key", "add", "pw", "--passphrase", "--generate"]);
    let words = terminal.line_after("Passphrase of pw: ");
    assert_eq!(words.split('-').filter(|word| word.len() > 2).count(), 7, "{words}");
    terminal.type_keys(&format!("{words}\r"));
    terminal.exits_with(0);
    assert!(world.run(&["key", "list"]).success().out.contains("pw"), "the key is added");
}

/// An attacker with sealed data can test passphrases as fast as the parameters allow.
#[test]
fn parameters_that_make_guessing_cheap_are_rejected() {
    let world = World::new();
    let before = world.read("project/cred.toml");
    for (field, code) in [("m_kib = 8", 3), ("t = 1", 3), ("m_kib = 32767", 3), ("m_kib = 32768, t = 2", 8)] {
        let key = format!("keys.weak = {{ passphrase = {{ env = \"NONE\" }}, {field} }}\n");
        world.write("project/cred.toml", &(before.clone() + &key));
        world.run(&["get", "a"]).exits_with(code).stderr_has("keys.weak");
    }
}

#[test]
fn a_passphrase_from_a_variable_is_checked_too() {
    let mut world = World::new();
    add_passphrase(&world, ["correct horse", "correct horse"]).exits_with(0);
    let config = world.read("project/cred.toml").replace("\"prompt\"", "{ env = \"PW\" }");
    world.write("project/cred.toml", &config);
    world.set("PW", "correct horse");
    world.store("a", "1");
    world.set("PW", "corect horse");
    world.run(&["get", "a"]).exits_with(8).stderr_has("wrong passphrase for the key `pw` of ring `main`");
    world.run_with(&["set", "b"], "2").exits_with(8);
    // A key without `check`, as in older files.
    let (begin, check) = config.split_once(", check = \"").unwrap();
    let (_, end) = check.split_once('"').unwrap();
    world.write("project/cred.toml", &format!("{begin}{end}"));
    let list = world.run(&["key", "list"]).success();
    assert!(list.out.contains("passphrase in a variable, no check"), "{}", list.out);
    world.store("b", "2");
    world.run(&["rm", "--yes", "a"]).success();
    let doctor = world.run(&["doctor"]).success().out;
    assert!(doctor.contains("warn  keys: the key `pw` has no `check`"), "{doctor}");
    assert!(doctor.contains("cred key add ID --passphrase"), "{doctor}");
}

#[test]
fn an_invalid_key_is_not_added() {
    let mut world = World::new();
    let before = world.read("project/cred.toml");
    world.write("project/notes", "no key\n");
    std::fs::set_permissions(world.path("project/notes"), std::fs::Permissions::from_mode(0o600)).unwrap();
    world.run(&["key", "add", "next", "--file", "notes"]).exits_with(8).stderr_has("does not hold a key");
    world.run(&["key", "add", "next", "--env", "NOT_SET"]).exits_with(8).stderr_has("is not set");
    world.set("NO_KEY", "no key");
    world.run(&["key", "add", "next", "--env", "NO_KEY"]).exits_with(8).stderr_has("does not hold a key");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (option, given) in [
        ("--env", key),
        ("--env", "7AECAwQFBgcICQoLDA0ODx"),
        ("--env", "AECAwQFBgcICQoLDA0ODx"),
        ("--file", key),
    ] {
        let output = world.run(&["key", "add", "next", option, given]);
        assert!([2, 8].contains(&output.code), "{output:?}");
        assert!(!output.err.contains(given) && !output.out.contains(given), "{output:?}");
        assert!(!world.path("project").join(given).exists());
    }
    assert_eq!(world.read("project/cred.toml"), before);
    world.set("A_KEY", key);
    world.run(&["key", "add", "next", "--env", "A_KEY"]).success().stderr_has("is now the active key");
}

#[test]
fn the_reported_role_is_the_written_one() {
    let world = World::with_other(false);
    let config = world.read("project/cred.toml").replace("ring = \"main\"", "ring = \"other\"");
    world.write("project/cred.toml", &config);
    world
        .run(&["key", "add", "first", "--inactive", "-p", "other"])
        .success()
        .stderr_has("is now the active key");
    world
        .run(&["key", "add", "second", "--inactive", "-p", "other"])
        .success()
        .stderr_has("the active key stays the same");
}

#[test]
fn key_add_waits_for_a_concurrent_edit_of_the_file() {
    let world = World::new();
    let path = world.path("home/.config/cred/edit.lock");
    let lock = std::fs::File::options().create(true).append(true).open(path).unwrap();
    fcntl_lock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut adds = world.command(&["key", "add", "next"]).spawn().unwrap();
    let key = world.path("home/.config/cred/keys/next.key");
    // The command has read the file by now.
    while !key.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(adds.try_wait().unwrap().is_none(), "the command does not wait for the lock");
    let changed = format!("{}# of another program\n", world.read("project/cred.toml"));
    std::fs::write(world.path("project/cred.toml"), &changed).unwrap();
    drop(lock);
    let output = adds.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("changed it in the meantime"), "{stderr}");
    assert_eq!(world.read("project/cred.toml"), changed);
    assert!(!key.exists(), "the unused key file must be removed");
}
