//! The program on a real Vault.
#![cfg(all(unix, feature = "local", feature = "vault"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails by panic says what it must"
)]

#[path = "cli/terminal.rs"]
mod terminal;
#[allow(dead_code, reason = "the other test program uses all of it")]
#[path = "cli/world.rs"]
mod world;

use std::time::{Duration, Instant};

use crate::terminal::Terminal;
use crate::world::World;

/// A world with the profiles `dev` (local), `back` (another local one) and `vault`, all of one ring.
fn world() -> World {
    let mut world = World::new();
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by cargo xtask test-integration"))
    };
    world.set("VAULT_TOKEN", &variable("CRED_TEST_VAULT_TOKEN"));
    let prefix: String = std::iter::repeat_with(fastrand::lowercase).take(12).collect();
    let text = format!(
        "{}\n[profiles.back]\nbackend = \"local\"\nbase_path = \"{}\"\n\n\
         [profiles.vault]\nbackend = \"vault\"\naddress = \"{}\"\npath_prefix = \"{prefix}\"\n\
         auth_method = {{ token = {{ token = {{ env = \"VAULT_TOKEN\" }} }} }}\n",
        world.read("project/cred.toml"),
        world.path("home/back").display(),
        variable("CRED_TEST_VAULT_ADDR"),
    );
    world.write("project/cred.toml", &text);
    world
}

fn count(world: &World, profile: &str) -> usize {
    world.run(&["list", "--flat", "-p", profile]).good().out.lines().count()
}

/// Starts a migration again and again, and kills it in the middle.
fn killed_in_the_middle(world: &World, from: &str, to: &str, whole: usize) {
    let mut patience = Duration::from_millis(100);
    loop {
        let mut child = world.command(&["migrate", "--from", from, "--to", to]).spawn().unwrap();
        std::thread::sleep(patience);
        child.kill().unwrap();
        child.wait().unwrap();
        match count(world, to) {
            there if there == whole => panic!("it was done before it was killed"),
            0 => patience = patience.mul_f32(1.5),
            _ => return,
        }
        assert!(patience < Duration::from_secs(60), "it makes no progress");
    }
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn a_thousand_credentials_move_to_vault_and_back_with_a_kill_on_each_way() {
    const COUNT: usize = 1_000;
    let world = world();
    world.fill(COUNT);
    for (from, to) in [("dev", "vault"), ("vault", "back")] {
        killed_in_the_middle(&world, from, to, COUNT);
        let begin = Instant::now();
        let report = world.run(&["migrate", "--from", from, "--to", to, "--json"]).good().json();
        let [copied, there] = ["copied", "already_there"].map(|name| report[name].as_u64().unwrap());
        println!("{from} to {to}: {there} before the kill, {copied} after it, in {:?}", begin.elapsed());
        assert!(copied > 0 && there > 0, "{report}");
        assert_eq!(copied + there, COUNT as u64, "{report}");
        world.run(&["diff", from, to]).good().says("1000 are the same");
    }
    world.run(&["diff", "dev", "back", "--sealed"]).good().says("1000 are the same");
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn a_new_user_works_in_a_terminal_on_vault() {
    let mut world = world();
    world.set("CRED_PROFILE", "vault");
    let mut terminal = Terminal::start(&world, &["set", "org:acme/stripe"]);
    terminal.expect("Value of value: ");
    assert!(!terminal.echoes());
    terminal.type_keys("sk_live\r");
    terminal.expect("Stored org:acme/stripe in vault");
    terminal.ends(0);
    assert_eq!(Terminal::start(&world, &["get", "org:acme/stripe", "--show"]).ends(0), "sk_live\r\n");
    world.run_with(&["rotate", "org:acme/stripe"], "sk_next").good().says("version 2");
    let script = "echo $STRIPE,$VAULT_TOKEN";
    let answer = world.run(&["run", "--scope", "org:acme", "--", "sh", "-c", script]).good();
    assert_eq!(answer.out, "sk_next,\n", "the token is not the command's");
    world.run(&["validate"]).good();
    world.run(&["key", "add", "next"]).good();
    world.run(&["rekey"]).good().says("1 of 1 credentials sealed under next");
    let doctor = world.run(&["doctor"]).good().out;
    assert!(doctor.contains("replace if unchanged: allowed") && !doctor.contains("to do"), "{doctor}");
    world.run(&["rm", "--yes", "org:acme/stripe"]).good();
    assert_eq!(count(&world, "vault"), 0);
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn ctrl_c_in_a_terminal_leaves_a_migration_to_vault_to_go_on() {
    let world = world();
    world.fill(300);
    let mut terminal = Terminal::start(&world, &["migrate", "--from", "dev", "--to", "vault"]);
    terminal.expect("migrating [");
    terminal.expect("/300");
    terminal.type_keys("\x03");
    terminal.expect("interrupted");
    terminal.ends(130);
    world.run(&["migrate", "--from", "dev", "--to", "vault"]).good();
    world.run(&["diff", "dev", "vault"]).good().says("300 are the same");
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn a_refused_login_is_told_and_neither_token_nor_value_is_in_a_trace() {
    const CANARY: &str = "canary-8d02e6b1-the-secret-word";
    let mut world = world();
    let token = std::env::var("CRED_TEST_VAULT_TOKEN").unwrap();
    world.set("CRED_LOG", "trace");
    world.set("CRED_PROFILE", "vault");
    let said = [
        world.run_with(&["set", "a"], CANARY).good(),
        world.run(&["get", "a"]).good(),
        world.run(&["list"]).good(),
        world.run(&["doctor"]).good(),
    ]
    .map(|answer| answer.err);
    for trace in &said {
        assert!(trace.contains("TRACE") || trace.contains("DEBUG"), "it logs: {trace}");
        assert!(!trace.contains(&token), "the token is in the trace");
        assert!(!trace.contains(CANARY), "the value is in the trace");
    }
    world.set("VAULT_TOKEN", "canary-not-a-token");
    let answer = world.run(&["get", "a"]).ends(5);
    assert!(!answer.err.contains("canary-not-a-token"), "{}", answer.err);
    let doctor = world.run(&["doctor"]).ends(9);
    assert!(doctor.out.contains("bad"), "{}", doctor.out);
    assert!(!doctor.out.contains("canary-not-a-token") && !doctor.err.contains("canary-not-a-token"));
}
