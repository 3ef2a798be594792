//! The program on a real Vault.
#![cfg(all(unix, feature = "local", feature = "vault"))]
#![cfg(test)]

#[macro_use]
#[path = "cli/on_a_server.rs"]
mod on_a_server;

use std::time::{Duration, Instant};

use cred_testing::value::{fresh, variable};

use crate::on_a_server::count;
use crate::on_a_server::world::{self, World};

fn world() -> World {
    world_with("")
}

/// With these lines in the profile.
fn world_with(settings: &str) -> World {
    let mut world = on_a_server::world(&format!(
        "backend = \"vault\"\naddress = \"{}\"\npath_prefix = \"{}\"\n{settings}\
         auth_method = {{ token = {{ token = {{ env = \"VAULT_TOKEN\" }} }} }}\n",
        variable("CRED_TEST_VAULT_ADDR"),
        fresh(),
    ));
    world.set("VAULT_TOKEN", &variable("CRED_TEST_VAULT_TOKEN"));
    world
}

on_a_server!(
    #[ignore = "needs a real server: cargo xtask test-integration vault"]
    world(), replaces: "allowed", many: 300, secrets: &[&variable("CRED_TEST_VAULT_TOKEN")]
);

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn what_is_deleted_softly_is_recovered_or_purged() {
    on_a_server::what_is_deleted_is_recovered_or_purged(world_with("delete_mode = \"soft\"\n"));
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
    for (from, to) in [("dev", "server"), ("server", "back")] {
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
fn the_token_is_not_the_commands_that_is_run() {
    let mut world = world();
    world.set("CRED_PROFILE", "server");
    world.store("org:acme/stripe", "sk_live");
    let script = "echo $STRIPE,$VAULT_TOKEN";
    let answer = world.run(&["run", "--scope", "org:acme", "--", "sh", "-c", script]).good();
    assert_eq!(answer.out, "sk_live,\n");
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn a_refused_login_is_told_without_the_token() {
    let mut world = world();
    world.set("CRED_PROFILE", "server");
    world.set("VAULT_TOKEN", "canary-not-a-token");
    let answer = world.run(&["get", "a"]).ends(5);
    assert!(!answer.err.contains("canary-not-a-token"), "{}", answer.err);
    let doctor = world.run(&["doctor"]).ends(9);
    assert!(doctor.out.contains("bad"), "{}", doctor.out);
    assert!(!doctor.out.contains("canary-not-a-token") && !doctor.err.contains("canary-not-a-token"));
}
