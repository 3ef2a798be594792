//! What the program does on each backend that is a server. The world has the profiles `dev` and
//! `back`, both local, and `server`.

#[path = "terminal.rs"]
mod terminal;
#[allow(dead_code, reason = "the other test program uses all of it")]
#[path = "world.rs"]
pub(crate) mod world;

use self::terminal::Terminal;
use self::world::World;

/// The tests of one server: why they are ignored without it, its world, what `doctor` says there of
/// replacing, how many credentials move, and the secrets of whoever is logged in.
macro_rules! on_a_server {
    (#[$ignored:meta] $world:expr, replaces: $replaces:literal, many: $many:literal, secrets: $secrets:expr) => {
        #[test]
        #[$ignored]
        fn a_new_user_works_in_a_terminal() {
            crate::on_a_server::a_new_user_works_in_a_terminal($world, $replaces);
        }

        #[test]
        #[$ignored]
        fn credentials_move_there_and_back() {
            crate::on_a_server::credentials_move_there_and_back(&$world, $many);
        }

        #[test]
        #[$ignored]
        fn ctrl_c_in_a_terminal_leaves_a_migration_to_go_on() {
            crate::on_a_server::ctrl_c_in_a_terminal_leaves_a_migration_to_go_on(&$world, $many);
        }

        #[test]
        #[$ignored]
        fn no_secret_is_in_a_trace() {
            crate::on_a_server::no_secret_is_in_a_trace($world, $secrets);
        }
    };
}

/// Deletes, recovers and purges, where the profile `server` keeps what is deleted.
#[allow(dead_code, reason = "some servers keep nothing that is deleted")]
pub(crate) fn what_is_deleted_is_recovered_or_purged(mut world: World) {
    world.set("CRED_PROFILE", "server");
    for name in ["a", "b", "c"] {
        world.store(&format!("org:acme/{name}"), name);
    }
    world.run(&["rm", "--yes", "org:acme/a", "org:acme/b"]).good();
    let deleted = |world: &World| world.run(&["list", "--deleted", "org:acme", "--json"]).good().json();
    assert_eq!(deleted(&world), serde_json::json!(["org:acme/a", "org:acme/b"]));
    world.run(&["list", "--deleted"]).good().says("Nothing deleted can be recovered there");

    world.run(&["recover", "org:acme/a"]).good().says("Recovered org:acme/a in server");
    assert_eq!(world.value("org:acme/a"), "a");
    assert_eq!(deleted(&world), serde_json::json!(["org:acme/b"]));
    world.run(&["recover", "org:acme/c"]).ends(4).says("`cred list --deleted org:acme` shows");
    let none = world.run(&["recover", "--json", "org:acme/none", "org:acme/c"]).ends(10).json();
    assert_eq!(none["failed"], serde_json::json!(["org:acme/none", "org:acme/c"]));

    world.run(&["purge", "org:acme/b"]).ends(2).says("--yes");
    assert_eq!(deleted(&world), serde_json::json!(["org:acme/b"]));
    world.run(&["purge", "--yes", "org:acme/c"]).ends(2).says("is stored and not deleted");
    assert_eq!(world.value("org:acme/c"), "c");
    let purged = world.run(&["purge", "--yes", "--json", "org:acme/b"]).good().json();
    assert_eq!(purged, serde_json::json!({"profile": "server", "purged": ["org:acme/b"], "failed": []}));
    assert_eq!(deleted(&world), serde_json::json!([]));
    world.run(&["recover", "org:acme/b"]).ends(4);
}

/// A part of a value that no trace may have.
const CANARY: &str = "canary-8d02e6b1-the-secret-word";

/// A user with the profiles `dev` (local), `back` (another local one) and `server`, all of one
/// ring.
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
    world.run(&["list", "--flat", "-p", profile]).good().out.lines().count()
}

/// Everything a newcomer does, from a prompt in a terminal to a new key. `swaps` is what `doctor`
/// says of replacing.
pub(crate) fn a_new_user_works_in_a_terminal(mut world: World, swaps: &str) {
    world.set("CRED_PROFILE", "server");
    let mut terminal = Terminal::start(&world, &["set", "org:acme/stripe"]);
    terminal.expect("Value of value: ");
    assert!(!terminal.echoes());
    terminal.type_keys("sk_live\r");
    terminal.expect("Stored org:acme/stripe in server");
    terminal.ends(0);
    assert_eq!(Terminal::start(&world, &["get", "org:acme/stripe", "--show"]).ends(0), "sk_live\r\n");
    world.run_with(&["rotate", "org:acme/stripe"], "sk_next").good().says("version 2");
    let answer = world.run(&["run", "--scope", "org:acme", "--", "sh", "-c", "echo $STRIPE"]).good();
    assert_eq!(answer.out, "sk_next\n");
    world.run(&["validate"]).good();
    world.run(&["key", "add", "next"]).good();
    world.run(&["rekey"]).good().says("1 of 1 credential sealed under next");
    let doctor = world.run(&["doctor"]).good().out;
    assert!(doctor.contains(&format!("replace if unchanged: {swaps}")), "{doctor}");
    assert!(!doctor.contains("to do"), "{doctor}");
    world.run(&["rm", "--yes", "org:acme/stripe"]).good();
    assert_eq!(count(&world, "server"), 0);
    world.run(&["get", "org:acme/stripe"]).ends(4);
}

/// A `.env` goes there and comes back, and so does a tree of credentials.
pub(crate) fn credentials_move_there_and_back(world: &World, many: usize) {
    world.write("project/.env", "SMTP_PASSWORD=one\nSTRIPE_API_KEY=two\n");
    world.run(&["import", ".env", "--scope", "org:acme", "-p", "server"]).good();
    let exported =
        world.run(&["export", "--scope", "org:acme", "--format", "env", "-p", "server"]).good().out;
    assert!(exported.contains("SMTP_PASSWORD=") && exported.contains("STRIPE_API_KEY="), "{exported}");
    for name in ["SMTP_PASSWORD", "STRIPE_API_KEY"] {
        world.run(&["rm", "--yes", &format!("org:acme/{name}"), "-p", "server"]).good();
    }
    world.fill(many);
    let same = format!("{many} are the same");
    for (from, to) in [("dev", "server"), ("server", "back")] {
        world.run(&["migrate", "--from", from, "--to", to]).good();
        world.run(&["diff", from, to]).good().says(&same);
    }
    world.run(&["diff", "dev", "back", "--sealed"]).good().says(&same);
}

/// The bar is seen moving, and what was there at the interruption stays.
pub(crate) fn ctrl_c_in_a_terminal_leaves_a_migration_to_go_on(world: &World, many: usize) {
    world.fill(many);
    let mut terminal = Terminal::start(world, &["migrate", "--from", "dev", "--to", "server"]);
    terminal.expect("migrating [");
    terminal.expect(&format!("/{many}"));
    terminal.type_keys("\x03");
    terminal.expect("interrupted");
    terminal.ends(130);
    assert!(count(world, "server") < many, "it was done before it was interrupted");
    world.run(&["migrate", "--from", "dev", "--to", "server"]).good();
    world.run(&["diff", "dev", "server"]).good().says(&format!("{many} are the same"));
}

/// `secrets` are those of whoever is logged in.
pub(crate) fn no_secret_is_in_a_trace(mut world: World, secrets: &[&str]) {
    world.set("CRED_LOG", "trace");
    world.set("CRED_PROFILE", "server");
    let answers = [
        world.run_with(&["set", "a"], CANARY).good(),
        world.run(&["get", "a"]).good(),
        world.run(&["list"]).good(),
        world.run(&["doctor"]).good(),
    ];
    for trace in answers.map(|answer| answer.err) {
        assert!(trace.contains("TRACE") || trace.contains("DEBUG"), "it logs: {trace}");
        for secret in secrets.iter().chain([&CANARY]) {
            let line = trace.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret is in the trace");
        }
    }
}
