//! The program in a terminal: prompts, progress, Ctrl-C.

use rustix::process::Signal;

use crate::terminal::Terminal;
use crate::world::World;

/// How a scope is printed.
const BOLD: &str = "\x1b[1m";

#[test]
fn a_value_is_prompted_for_without_echo() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["set", "org:acme/stripe"]);
    terminal.expect("Value of value: ");
    assert!(!terminal.echoes());
    terminal.type_keys("sk_lifee\x7f\x7fve_word\r");
    terminal.expect("Stored org:acme/stripe");
    assert!(terminal.echoes(), "the echo must be restored");
    let screen = terminal.exits_with(0);
    assert!(!screen.contains("sk_li") && !screen.contains("word"), "{screen:?}");
    assert_eq!(world.value("org:acme/stripe"), "sk_lifve_word");
}

#[test]
fn each_field_of_a_login_is_prompted_for() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["set", "db", "--kind", "username-password"]);
    terminal.expect("Value of username: ");
    terminal.type_keys("app\r");
    terminal.expect("Value of password: ");
    terminal.type_keys("hunter2\r");
    terminal.exits_with(0);
    assert_eq!(world.run(&["get", "db", "--field", "password"]).success().out, "hunter2");
}

#[test]
fn ctrl_c_at_a_prompt_stores_nothing_and_restores_the_echo() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["set", "a"]);
    terminal.expect("Value of value: ");
    terminal.type_keys("half a sec\x03");
    terminal.expect("interrupted");
    assert!(terminal.echoes());
    terminal.exits_with(130);
    world.run(&["get", "a"]).exits_with(4);
}

#[test]
fn a_signal_at_a_prompt_stores_nothing_and_restores_the_echo() {
    let world = World::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut terminal = Terminal::start(&world, &["set", "a"]);
        terminal.expect("Value of value: ");
        terminal.type_keys("half a sec");
        assert!(!terminal.echoes());
        terminal.signal(signal);
        terminal.expect("nothing was changed");
        assert!(terminal.echoes());
        terminal.ends_by_signal(signal);
        world.run(&["get", "a"]).exits_with(4);
    }
}

/// Only the first line would be stored, and the shell would run the others.
#[test]
fn several_lines_and_keys_that_are_not_text_are_rejected() {
    let world = World::new();
    for (keys, message) in
        [("-----BEGIN-----\rsecond\rthird\r", "several lines were pasted"), ("ab\x1b[Dc\r", "is not text")]
    {
        let mut terminal = Terminal::start(&world, &["set", "a"]);
        terminal.expect("Value of value: ");
        terminal.type_keys(keys);
        terminal.expect(message);
        terminal.exits_with(2);
        world.run(&["get", "a"]).exits_with(4);
    }
}

#[test]
fn a_value_is_shown_only_with_show() {
    let world = World::new();
    world.store("a", "the value");
    let screen = Terminal::start(&world, &["get", "a"]).exits_with(2);
    assert!(screen.contains("--show") && !screen.contains("the value"), "{screen:?}");
    let screen = Terminal::start(&world, &["get", "a", "--show"]).exits_with(0);
    assert_eq!(screen, "the value\r\n");
    let screen = Terminal::start(&world, &["export"]).exits_with(2);
    assert!(screen.contains("--show") && !screen.contains("the value"), "{screen:?}");
}

#[test]
fn a_deletion_waits_for_confirmation() {
    let world = World::new();
    world.store("a", "1");
    for (key, code) in [("n", 2), ("\r", 2), ("\x03", 130), ("y", 0)] {
        assert_eq!(world.value("a"), "1");
        let mut terminal = Terminal::start(&world, &["rm", "a"]);
        terminal.expect("Delete a from dev of ");
        terminal.expect("? [y/N] ");
        terminal.type_keys(key);
        terminal.exits_with(code);
    }
    world.run(&["get", "a"]).exits_with(4);
}

#[test]
fn a_passphrase_opens_and_another_does_not() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["key", "add", "word", "--passphrase"]);
    for question in ["Passphrase of word: ", "Repeat the passphrase: "] {
        terminal.expect(question);
        assert!(!terminal.echoes());
        terminal.type_keys("correct horse\r");
    }
    let screen = terminal.exits_with(0);
    assert!(!screen.contains("horse"), "{screen:?}");
    let ask = |args: &[&str], word: &str, code| {
        let mut terminal = Terminal::start(&world, args);
        terminal.expect("Passphrase of key word: ");
        terminal.type_keys(&format!("{word}\r"));
        terminal.exits_with(code)
    };
    ask(&["set", "a", "--generate"], "correct horse", 0);
    ask(&["get", "a", "--show"], "correct horse", 0);
    let screen = ask(&["get", "a", "--show"], "wrong horse", 8);
    assert!(screen.contains("wrong passphrase for the key `word`"), "{screen:?}");
    world.run(&["get", "a"]).exits_with(2).stderr_has("no terminal");
}

#[test]
fn long_work_shows_progress_and_can_be_resumed_after_ctrl_c() {
    let world = World::with_other(true);
    world.fill(1_000);
    let mut terminal = Terminal::start(&world, &["migrate", "--from", "dev", "--to", "other", "--reseal"]);
    terminal.expect("migrating [");
    terminal.expect("/1000");
    terminal.type_keys("\x03");
    terminal.expect("interrupted");
    terminal.exits_with(130);
    let output =
        world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "--json"]).success().json();
    assert!(
        output["copied"].as_u64().unwrap() > 0,
        "the migration was not interrupted in the middle: {output}"
    );
    world.run(&["diff", "dev", "other"]).success().stderr_has("1000 credentials equal");
    let piped = world.run(&["diff", "dev", "other"]).success();
    assert!(!piped.err.contains('['), "no bar without a terminal: {}", piped.err);
}

#[test]
fn colours_appear_only_on_terminals_and_not_with_no_color() {
    let mut world = World::new();
    world.store("org:a/b", "1");
    assert!(Terminal::start(&world, &["list"]).exits_with(0).contains(BOLD));
    assert!(!world.run(&["list"]).success().out.contains(BOLD));
    world.set("NO_COLOR", "1");
    assert!(!Terminal::start(&world, &["list"]).exits_with(0).contains(BOLD));
}
