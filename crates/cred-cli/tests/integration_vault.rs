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

/// Like `world`, with more lines in the profile.
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
fn softly_deleted_credentials_are_recovered_or_purged() {
    on_a_server::deleted_credentials_are_recovered_or_purged(world_with("delete_mode = \"soft\"\n"));
}

/// Starts a migration repeatedly until a kill hits it in the middle.
fn kill_in_the_middle(world: &World, from: &str, to: &str, whole: usize) {
    let mut delay = Duration::from_millis(100);
    loop {
        let mut child = world.command(&["migrate", "--from", from, "--to", to]).spawn().unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        match count(world, to) {
            there if there == whole => panic!("the migration completed before it was killed"),
            0 => delay = delay.mul_f32(1.5),
            _ => return,
        }
        assert!(delay < Duration::from_secs(60), "the migration makes no progress");
    }
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn a_thousand_credentials_move_to_vault_and_back_with_a_kill_on_each_way() {
    const COUNT: usize = 1_000;
    let world = world();
    world.fill(COUNT);
    for (from, to) in [("dev", "server"), ("server", "back")] {
        kill_in_the_middle(&world, from, to, COUNT);
        let begin = Instant::now();
        let report = world.run(&["migrate", "--from", from, "--to", to, "--json"]).success().json();
        let [copied, there] = ["copied", "already_there"].map(|name| report[name].as_u64().unwrap());
        println!("{from} to {to}: {there} before the kill, {copied} after it, in {:?}", begin.elapsed());
        assert!(copied > 0 && there > 0, "{report}");
        assert_eq!(copied + there, COUNT as u64, "{report}");
        world.run(&["diff", from, to]).success().stderr_has("1000 credentials equal");
    }
    world.run(&["diff", "dev", "back", "--sealed"]).success().stderr_has("1000 credentials equal");
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn the_command_does_not_get_the_token() {
    let mut world = world();
    world.set("CRED_PROFILE", "server");
    world.store("org:acme/stripe", "sk_live");
    let script = "echo $STRIPE,$VAULT_TOKEN";
    let output = world.run(&["run", "--scope", "org:acme", "--", "sh", "-c", script]).success();
    assert_eq!(output.out, "sk_live,\n");
}

#[test]
#[ignore = "needs a real server: cargo xtask test-integration vault"]
fn a_refused_login_is_reported_without_the_token() {
    let mut world = world();
    world.set("CRED_PROFILE", "server");
    world.set("VAULT_TOKEN", "canary-not-a-token");
    let output = world.run(&["get", "a"]).exits_with(5);
    assert!(!output.err.contains("canary-not-a-token"), "{}", output.err);
    let doctor = world.run(&["doctor"]).exits_with(9);
    assert!(doctor.out.contains("bad"), "{}", doctor.out);
    assert!(!doctor.out.contains("canary-not-a-token") && !doctor.err.contains("canary-not-a-token"));
}
