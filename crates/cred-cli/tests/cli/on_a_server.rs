//! Tests that run against every server backend. The world has the profiles `dev` and `back`, both
//! local, and `server`.

#[path = "terminal.rs"]
mod terminal;
#[allow(dead_code, reason = "the other test program uses all of it")]
#[path = "world.rs"]
pub(crate) mod world;

use self::terminal::Terminal;
use self::world::World;

/// The tests of one server: the reason why they are ignored by default, the world, the result of
/// `replace if unchanged` in `doctor`, the number of credentials to migrate, and the secrets of the
/// login.
macro_rules! on_a_server {
    (#[$ignored:meta] $world:expr, replaces: $replaces:literal, many: $many:literal, secrets: $secrets:expr) => {
        #[test]
        #[$ignored]
        fn a_new_user_works_in_a_terminal() {
            crate::on_a_server::a_new_user_works_in_a_terminal($world, $replaces);
        }

        #[test]
        #[$ignored]
        fn credentials_migrate_there_and_back() {
            crate::on_a_server::credentials_migrate_there_and_back(&$world, $many);
        }

        #[test]
        #[$ignored]
        fn a_migration_can_be_resumed_after_ctrl_c() {
            crate::on_a_server::a_migration_can_be_resumed_after_ctrl_c(&$world, $many);
        }

        #[test]
        #[$ignored]
        fn no_secret_is_in_a_trace() {
            crate::on_a_server::no_secret_is_in_a_trace($world, $secrets);
        }
    };
}

/// Deletes, recovers and purges, on a server that keeps deleted credentials.
#[allow(dead_code, reason = "some servers do not keep deleted credentials")]
pub(crate) fn deleted_credentials_are_recovered_or_purged(mut world: World) {
    world.set("CRED_PROFILE", "server");
    for name in ["a", "b", "c"] {
        world.store(&format!("org:acme/{name}"), name);
    }
    world.run(&["rm", "--yes", "org:acme/a", "org:acme/b"]).success();
    let deleted = |world: &World| world.run(&["list", "--deleted", "org:acme", "--json"]).success().json();
    assert_eq!(deleted(&world), serde_json::json!(["org:acme/a", "org:acme/b"]));
    world
        .run(&["list", "--deleted"])
        .success()
        .stderr_has("No recoverable deleted credentials without a scope");

    world.run(&["recover", "org:acme/a"]).success().stderr_has("Recovered org:acme/a in server");
    assert_eq!(world.value("org:acme/a"), "a");
    assert_eq!(deleted(&world), serde_json::json!(["org:acme/b"]));
    world.run(&["recover", "org:acme/c"]).exits_with(4).stderr_has("`cred list --deleted org:acme` shows");
    let none = world.run(&["recover", "--json", "org:acme/none", "org:acme/c"]).exits_with(10).json();
    assert_eq!(none["failed"], serde_json::json!(["org:acme/none", "org:acme/c"]));

    world.run(&["purge", "org:acme/b"]).exits_with(2).stderr_has("--yes");
    assert_eq!(deleted(&world), serde_json::json!(["org:acme/b"]));
    world
        .run(&["purge", "--yes", "org:acme/c"])
        .exits_with(2)
        .stderr_has("is not deleted, so it was not purged");
    assert_eq!(world.value("org:acme/c"), "c");
    let purged = world.run(&["purge", "--yes", "--json", "org:acme/b"]).success().json();
    assert_eq!(purged, serde_json::json!({"profile": "server", "purged": ["org:acme/b"], "failed": []}));
    assert_eq!(deleted(&world), serde_json::json!([]));
    world.run(&["recover", "org:acme/b"]).exits_with(4);
}

/// A secret that no trace may contain.
const CANARY: &str = "canary-8d02e6b1-the-secret-word";

/// A user with the profiles `dev` (local), `back` (another local one) and `server`, all with the
/// same ring.
pub(crate) fn world(server: &str) -> World {
    let world = World::new();
    let text = format!(
        "{}\n[profiles.back]\nbackend = \"local\"\nbase_path = \"{}\"\n\n[profiles.server]\n{server}",
        world.read("project/cred.toml"),
        world.path("home/back").display(),
    );
    world.write("project/cred.toml", &text);
    world
}

pub(crate) fn count(world: &World, profile: &str) -> usize {
    world.run(&["list", "--flat", "-p", profile]).success().out.lines().count()
}

/// The first steps of a user, from a prompt in a terminal to a new key. `swaps` is the result of
/// `replace if unchanged` in `doctor`.
pub(crate) fn a_new_user_works_in_a_terminal(mut world: World, swaps: &str) {
    world.set("CRED_PROFILE", "server");
    let mut terminal = Terminal::start(&world, &["set", "org:acme/stripe"]);
    terminal.expect("Value of value: ");
    assert!(!terminal.echoes());
    terminal.type_keys("sk_live\r");
    terminal.expect("Stored org:acme/stripe in server");
    terminal.exits_with(0);
    assert_eq!(Terminal::start(&world, &["get", "org:acme/stripe", "--show"]).exits_with(0), "sk_live\r\n");
    world.run_with(&["rotate", "org:acme/stripe"], "sk_next").success().stderr_has("version 2");
    let output = world.run(&["run", "--scope", "org:acme", "--", "sh", "-c", "echo $STRIPE"]).success();
    assert_eq!(output.out, "sk_next\n");
    world.run(&["validate"]).success();
    world.run(&["key", "add", "next"]).success();
    world.run(&["rekey"]).success().stderr_has("1 of 1 credential sealed under next");
    let doctor = world.run(&["doctor"]).success().out;
    assert!(doctor.contains(&format!("replace if unchanged: {swaps}")), "{doctor}");
    assert!(!doctor.contains("to do"), "{doctor}");
    world.run(&["rm", "--yes", "org:acme/stripe"]).success();
    assert_eq!(count(&world, "server"), 0);
    world.run(&["get", "org:acme/stripe"]).exits_with(4);
}

/// Imports and exports a `.env` file, and migrates a tree of credentials there and back.
pub(crate) fn credentials_migrate_there_and_back(world: &World, many: usize) {
    world.write("project/.env", "SMTP_PASSWORD=one\nSTRIPE_API_KEY=two\n");
    world.run(&["import", ".env", "--scope", "org:acme", "-p", "server"]).success();
    let exported =
        world.run(&["export", "--scope", "org:acme", "--format", "env", "-p", "server"]).success().out;
    assert!(exported.contains("SMTP_PASSWORD=") && exported.contains("STRIPE_API_KEY="), "{exported}");
    for name in ["SMTP_PASSWORD", "STRIPE_API_KEY"] {
        world.run(&["rm", "--yes", &format!("org:acme/{name}"), "-p", "server"]).success();
    }
    world.fill(many);
    let same = format!("{many} credentials equal");
    for (from, to) in [("dev", "server"), ("server", "back")] {
        world.run(&["migrate", "--from", from, "--to", to]).success();
        world.run(&["diff", from, to]).success().stderr_has(&same);
    }
    world.run(&["diff", "dev", "back", "--sealed"]).success().stderr_has(&same);
}

/// The progress bar moves, and copies made before the interruption stay.
pub(crate) fn a_migration_can_be_resumed_after_ctrl_c(world: &World, many: usize) {
    world.fill(many);
    let mut terminal = Terminal::start(world, &["migrate", "--from", "dev", "--to", "server"]);
    terminal.expect("migrating [");
    terminal.expect(&format!("/{many}"));
    terminal.type_keys("\x03");
    terminal.expect("interrupted");
    terminal.exits_with(130);
    assert!(count(world, "server") < many, "the migration completed before it was interrupted");
    world.run(&["migrate", "--from", "dev", "--to", "server"]).success();
    world.run(&["diff", "dev", "server"]).success().stderr_has(&format!("{many} credentials equal"));
}

/// `secrets` are those of the login.
pub(crate) fn no_secret_is_in_a_trace(mut world: World, secrets: &[&str]) {
    world.set("CRED_LOG", "trace");
    world.set("CRED_PROFILE", "server");
    let outputs = [
        world.run_with(&["set", "a"], CANARY).success(),
        world.run(&["get", "a"]).success(),
        world.run(&["list"]).success(),
        world.run(&["doctor"]).success(),
    ];
    for trace in outputs.map(|output| output.err) {
        assert!(trace.contains("TRACE") || trace.contains("DEBUG"), "the trace is empty: {trace}");
        for secret in secrets.iter().chain([&CANARY]) {
            let line = trace.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret is in the trace");
        }
    }
}
