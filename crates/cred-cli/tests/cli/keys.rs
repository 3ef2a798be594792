//! The key ring, from the first key to the next.

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
    world.run(&["key", "add", "next"]).good().says("seals with it from now on");
    assert!(world.read("project/cred.toml").starts_with("# my comment\n"), "comments are kept");
    let counts = |world: &World| {
        let json = world.run(&["key", "list", "--count", "--json"]).good().json();
        json.as_array()
            .unwrap()
            .iter()
            .map(|key| (key["id"].as_str().unwrap().to_owned(), key["credentials"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(counts(&world), [(first.clone(), 30), ("next".into(), 0)]);
    world.run(&["key", "retire", &first]).ends(8).says("30 credentials of dev would not open");
    world.run(&["rekey", "--dry-run"]).good().says("30 of 30");
    assert_eq!(counts(&world)[0].1, 30);
    world.run(&["rekey"]).good().says("30 of 30 credentials sealed under next");
    world.run(&["rekey"]).good().says("0 of 30");
    world.run(&["key", "retire", "next"]).ends(2).says("is the key that seals");
    world.run(&["key", "retire", &first]).good();
    assert_eq!(counts(&world), [("next".into(), 30)]);
    assert_eq!(world.value("org:acme/team:t3/credential-3"), "value of 3");
    world.run(&["key", "retire", &first]).ends(2).says("has no key");
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
    let answer = world.run(&["rekey", "--json"]).ends(10);
    let document = answer.json();
    assert_eq!(document["failed"].as_array().map(Vec::len), Some(100));
    assert_eq!((&document["failed_count"], &document["not_tried"]), (&120.into(), &0.into()));
    assert!(document["stopped"].is_null(), "{document}");
    assert_eq!(answer.error()["failures"].as_array().map(Vec::len), Some(100));
    world.run(&["rekey"]).ends(10).says("120 credentials (20 more than are listed)").says("run it again");
}

#[test]
fn an_id_names_one_key_for_ever() {
    let world = World::new();
    world.run(&["key", "add", "next", "--inactive"]).good();
    world.run(&["key", "add", "next"]).ends(2).says("already");
    let list = world.run(&["key", "list"]).good().out;
    assert!(
        list.contains("next") && list.lines().filter(|line| line.contains("seals")).count() == 1,
        "{list}"
    );
}

#[test]
fn a_wrong_or_missing_key_is_told_apart() {
    let world = World::new();
    world.store("a", "1");
    let file = world.key_file();
    std::fs::remove_file(&file).unwrap();
    world.run(&["get", "a"]).ends(8).says("could not be read");
    world.run(&["key", "add", "other", "--file", &file]).ends(0);
    world.run(&["get", "a"]).ends(8).says("was not sealed under the key that the ring knows");
}

/// Adds the key `pw`, and types these at its prompts.
fn add_passphrase(world: &World, typed: [&str; 2]) -> Terminal {
    let mut terminal = Terminal::start(world, &["key", "add", "pw", "--passphrase"]);
    for (question, word) in ["Passphrase of pw: ", "Once more: "].into_iter().zip(typed) {
        terminal.expect(question);
        terminal.type_keys(&format!("{word}\r"));
    }
    terminal
}

#[test]
fn a_mistyped_passphrase_seals_nothing() {
    let world = World::new();
    world.store("a", "1");
    add_passphrase(&world, ["correct horse", "correct horse"]).ends(0);
    let config = world.read("project/cred.toml");
    assert!(config.contains("check = ") && !config.contains("horse"), "{config}");
    let ask = |args: &[&str], word: &str, code| {
        let mut terminal = Terminal::start(&world, args);
        terminal.expect("Passphrase of key pw: ");
        terminal.type_keys(&format!("{word}\r"));
        terminal.ends(code)
    };
    let stored = files(&world.path("home"));
    for args in [&["rekey"][..], &["set", "b", "--generate"]] {
        let screen = ask(args, "corect horse", 8);
        assert!(screen.contains("is not the one that key `pw` of ring `main` was added with"), "{screen}");
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
    let screen = add_passphrase(&world, ["correct horse", "corect horse"]).ends(2);
    assert!(screen.contains("differ"), "{screen}");
    let mut terminal = Terminal::start(&world, &["key", "add", "pw", "--passphrase"]);
    terminal.expect("Passphrase of pw: ");
    terminal.type_keys("\r");
    terminal.expect("is empty");
    terminal.ends(8);
    world.run(&["key", "add", "pw", "--passphrase"]).ends(2).says("there is no terminal to ask on");
    assert_eq!(world.read("project/cred.toml"), before);
}

#[test]
fn a_short_passphrase_is_refused_and_a_generated_one_is_typed_once() {
    let world = World::new();
    let before = world.read("project/cred.toml");
    let mut terminal = Terminal::start(&world, &["key", "add", "pw", "--passphrase"]);
    terminal.expect("Passphrase of pw: ");
    terminal.type_keys("elevenchars\r");
    assert!(terminal.ends(2).contains("at least 12 characters"));
    assert_eq!(world.read("project/cred.toml"), before);

    let mut terminal = Terminal::start(&world, &["key", "add", "pw", "--passphrase", "--generate"]);
    let words = terminal.line_after("Passphrase of pw: ");
    assert_eq!(words.split('-').filter(|word| word.len() > 2).count(), 7, "{words}");
    terminal.type_keys(&format!("{words}\r"));
    terminal.ends(0);
    assert!(world.run(&["key", "list"]).good().out.contains("pw"), "it was added");
}

/// Whoever has what is sealed can try passphrases as quickly as the parameters allow.
#[test]
fn parameters_that_make_guessing_cheap_are_refused() {
    let world = World::new();
    let before = world.read("project/cred.toml");
    for (field, code) in [("m_kib = 8", 3), ("t = 1", 3), ("m_kib = 32767", 3), ("m_kib = 32768, t = 2", 8)] {
        let key = format!("keys.weak = {{ passphrase = {{ env = \"NONE\" }}, {field} }}\n");
        world.write("project/cred.toml", &(before.clone() + &key));
        world.run(&["get", "a"]).ends(code).says("keys.weak");
    }
}

#[test]
fn a_passphrase_from_elsewhere_is_checked_too() {
    let mut world = World::new();
    add_passphrase(&world, ["correct horse", "correct horse"]).ends(0);
    let config = world.read("project/cred.toml").replace("\"prompt\"", "{ env = \"PW\" }");
    world.write("project/cred.toml", &config);
    world.set("PW", "correct horse");
    world.store("a", "1");
    world.set("PW", "corect horse");
    world.run(&["get", "a"]).ends(8).says("is not the one that key `pw` of ring `main` was added with");
    world.run_with(&["set", "b"], "2").ends(8);
    // One of before there were checks.
    let (begin, check) = config.split_once(", check = \"").unwrap();
    let (_, end) = check.split_once('"').unwrap();
    world.write("project/cred.toml", &format!("{begin}{end}"));
    let list = world.run(&["key", "list"]).good();
    assert!(list.out.contains("passphrase in a variable, no check"), "{}", list.out);
    world.store("b", "2");
    world.run(&["rm", "--yes", "a"]).good();
    let doctor = world.run(&["doctor"]).good().out;
    assert!(doctor.contains("warn  keys: `pw` has no `check`"), "{doctor}");
    assert!(doctor.contains("cred key add ID --passphrase"), "{doctor}");
}

#[test]
fn what_is_no_key_is_not_added() {
    let mut world = World::new();
    let before = world.read("project/cred.toml");
    world.write("project/notes", "no key\n");
    std::fs::set_permissions(world.path("project/notes"), std::fs::Permissions::from_mode(0o600)).unwrap();
    world.run(&["key", "add", "next", "--file", "notes"]).ends(8).says("does not hold a key");
    world.run(&["key", "add", "next", "--env", "NOT_SET"]).ends(8).says("is not set");
    world.set("NO_KEY", "no key");
    world.run(&["key", "add", "next", "--env", "NO_KEY"]).ends(8).says("does not hold a key");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (option, given) in [
        ("--env", key),
        ("--env", "7AECAwQFBgcICQoLDA0ODx"),
        ("--env", "AECAwQFBgcICQoLDA0ODx"),
        ("--file", key),
    ] {
        let answer = world.run(&["key", "add", "next", option, given]);
        assert!([2, 8].contains(&answer.code), "{answer:?}");
        assert!(!answer.err.contains(given) && !answer.out.contains(given), "{answer:?}");
        assert!(!world.path("project").join(given).exists());
    }
    assert_eq!(world.read("project/cred.toml"), before);
    world.set("A_KEY", key);
    world.run(&["key", "add", "next", "--env", "A_KEY"]).good().says("seals with it from now on");
}

#[test]
fn the_role_is_said_as_it_was_written() {
    let world = World::with_other(false);
    let config = world.read("project/cred.toml").replace("ring = \"main\"", "ring = \"other\"");
    world.write("project/cred.toml", &config);
    world.run(&["key", "add", "first", "--inactive", "-p", "other"]).good().says("seals with it from now on");
    world.run(&["key", "add", "second", "--inactive", "-p", "other"]).good().says("opens with it");
}

#[test]
fn who_adds_a_key_waits_for_who_edits_the_file() {
    let world = World::new();
    let path = world.path("home/.config/cred/edit.lock");
    let lock = std::fs::File::options().create(true).append(true).open(path).unwrap();
    fcntl_lock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut adds = world.command(&["key", "add", "next"]).spawn().unwrap();
    let key = world.path("home/.config/cred/keys/next.key");
    // It has read the file by then.
    while !key.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(adds.try_wait().unwrap().is_none(), "it does not wait");
    let changed = format!("{}# of somebody else\n", world.read("project/cred.toml"));
    std::fs::write(world.path("project/cred.toml"), &changed).unwrap();
    drop(lock);
    let output = adds.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("changed it meanwhile"), "{said}");
    assert_eq!(world.read("project/cred.toml"), changed);
    assert!(!key.exists(), "a key that no file names is left behind");
}
