//! In a terminal: prompts, progress, Ctrl-C.

use rustix::process::Signal;

use crate::terminal::Terminal;
use crate::world::World;

/// How a scope is printed.
const BOLD: &str = "\x1b[1m";

#[test]
fn a_value_is_asked_for_and_not_shown() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["set", "org:acme/stripe"]);
    terminal.expect("Value of value: ");
    assert!(!terminal.echoes());
    terminal.type_keys("sk_lifee\x7f\x7fve_word\r");
    terminal.expect("Stored org:acme/stripe");
    assert!(terminal.echoes(), "the echo is back");
    let screen = terminal.ends(0);
    assert!(!screen.contains("sk_li") && !screen.contains("word"), "{screen:?}");
    assert_eq!(world.value("org:acme/stripe"), "sk_lifve_word");
}

#[test]
fn each_field_of_a_login_is_asked_for() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["set", "db", "--kind", "username-password"]);
    terminal.expect("Value of username: ");
    terminal.type_keys("app\r");
    terminal.expect("Value of password: ");
    terminal.type_keys("hunter2\r");
    terminal.ends(0);
    assert_eq!(world.run(&["get", "db", "--field", "password"]).good().out, "hunter2");
}

#[test]
fn ctrl_c_at_a_prompt_stores_nothing_and_gives_the_echo_back() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["set", "a"]);
    terminal.expect("Value of value: ");
    terminal.type_keys("half a sec\x03");
    terminal.expect("interrupted");
    assert!(terminal.echoes());
    terminal.ends(130);
    world.run(&["get", "a"]).ends(4);
}

#[test]
fn a_signal_at_a_prompt_stores_nothing_and_gives_the_echo_back() {
    let world = World::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut terminal = Terminal::start(&world, &["set", "a"]);
        terminal.expect("Value of value: ");
        terminal.type_keys("half a sec");
        assert!(!terminal.echoes());
        terminal.signal(signal);
        terminal.expect("nothing was changed");
        assert!(terminal.echoes());
        terminal.ends_by(signal);
        world.run(&["get", "a"]).ends(4);
    }
}

/// Only the first line would be stored, and the shell would run the others.
#[test]
fn several_lines_and_keys_that_are_no_text_are_not_taken() {
    let world = World::new();
    for (keys, said) in
        [("-----BEGIN-----\rsecond\rthird\r", "more than one line"), ("ab\x1b[Dc\r", "no text")]
    {
        let mut terminal = Terminal::start(&world, &["set", "a"]);
        terminal.expect("Value of value: ");
        terminal.type_keys(keys);
        terminal.expect(said);
        terminal.ends(2);
        world.run(&["get", "a"]).ends(4);
    }
}

#[test]
fn a_value_is_shown_only_if_asked() {
    let world = World::new();
    world.store("a", "the value");
    let screen = Terminal::start(&world, &["get", "a"]).ends(2);
    assert!(screen.contains("--show") && !screen.contains("the value"), "{screen:?}");
    let screen = Terminal::start(&world, &["get", "a", "--show"]).ends(0);
    assert_eq!(screen, "the value\r\n");
    let screen = Terminal::start(&world, &["export"]).ends(2);
    assert!(screen.contains("--show") && !screen.contains("the value"), "{screen:?}");
}

#[test]
fn a_deletion_waits_for_a_yes() {
    let world = World::new();
    world.store("a", "1");
    for (key, code) in [("n", 2), ("\r", 2), ("\x03", 130), ("y", 0)] {
        assert_eq!(world.value("a"), "1");
        let mut terminal = Terminal::start(&world, &["rm", "a"]);
        terminal.expect("Delete a from dev of ");
        terminal.expect("? [y/N] ");
        terminal.type_keys(key);
        terminal.ends(code);
    }
    world.run(&["get", "a"]).ends(4);
}

#[test]
fn a_passphrase_opens_and_another_does_not() {
    let world = World::new();
    let mut terminal = Terminal::start(&world, &["key", "add", "word", "--passphrase"]);
    for question in ["Passphrase of word: ", "Once more: "] {
        terminal.expect(question);
        assert!(!terminal.echoes());
        terminal.type_keys("correct horse\r");
    }
    let screen = terminal.ends(0);
    assert!(!screen.contains("horse"), "{screen:?}");
    let ask = |args: &[&str], word: &str, code| {
        let mut terminal = Terminal::start(&world, args);
        terminal.expect("Passphrase of key word: ");
        terminal.type_keys(&format!("{word}\r"));
        terminal.ends(code)
    };
    ask(&["set", "a", "--generate"], "correct horse", 0);
    ask(&["get", "a", "--show"], "correct horse", 0);
    let screen = ask(&["get", "a", "--show"], "wrong horse", 8);
    assert!(screen.contains("is not the one that key `word`"), "{screen:?}");
    world.run(&["get", "a"]).ends(2).says("no terminal");
}

#[test]
fn long_work_shows_its_progress_and_ctrl_c_leaves_it_to_go_on() {
    let world = World::with_other(true);
    world.fill(1_000);
    let mut terminal = Terminal::start(&world, &["migrate", "--from", "dev", "--to", "other", "--reseal"]);
    terminal.expect("migrating [");
    terminal.expect("/1000");
    terminal.type_keys("\x03");
    terminal.expect("interrupted");
    terminal.ends(130);
    let answer =
        world.run(&["migrate", "--from", "dev", "--to", "other", "--reseal", "--json"]).good().json();
    assert!(answer["copied"].as_u64().unwrap() > 0, "it was not interrupted in the middle: {answer}");
    world.run(&["diff", "dev", "other"]).good().says("1000 are the same");
    let piped = world.run(&["diff", "dev", "other"]).good();
    assert!(!piped.err.contains('['), "no bar without a terminal: {}", piped.err);
}

#[test]
fn colours_are_for_terminals_and_off_when_asked() {
    let mut world = World::new();
    world.store("org:a/b", "1");
    assert!(Terminal::start(&world, &["list"]).ends(0).contains(BOLD));
    assert!(!world.run(&["list"]).good().out.contains(BOLD));
    world.set("NO_COLOR", "1");
    assert!(!Terminal::start(&world, &["list"]).ends(0).contains(BOLD));
}
