//! `cred run`: the process that it becomes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::world::World;

#[test]
fn the_command_gets_the_credentials_and_nobody_else() {
    let mut world = World::new();
    world.store("org:acme/stripe-api-key", "sk_live");
    world
        .run_with(
            &["set", "org:acme/db", "--kind", "username-password", "--fields"],
            r#"{"username": "u", "password": "p"}"#,
        )
        .good();
    world.store("org:acme/team:t/below", "not this one");
    world.store("single", "one");
    world.set("KEPT", "kept");
    let script = "echo $STRIPE_API_KEY,$DB_USERNAME,$DB_PASSWORD,$BELOW,$KEPT,$MINE,$WORD";
    let args = [
        "run",
        "--scope",
        "org:acme",
        "--env",
        "MINE=single",
        "--env",
        "WORD=org:acme/db#password",
        "--",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(world.run(&args).good().out, "sk_live,u,p,,kept,one,p\n");
    world.run(&["run", "--env", "X=absent", "--", "true"]).ends(4);
    world.run(&["run", "--env", "X=org:acme/db", "--", "true"]).ends(2).says("several fields");
    world
        .run(&["run", "--env", "STRIPE_API_KEY=single", "--scope", "org:acme", "--", "true"])
        .ends(2)
        .says("two credentials");
    world.run(&["run", "--", "true"]).ends(2);
}

#[test]
fn the_key_does_not_go_along() {
    let mut world = World::new();
    world.store("a", "value");
    let config = world.read("project/cred.toml");
    let file = world.key_file();
    let key = std::fs::read_to_string(&file).unwrap();
    world.write(
        "project/cred.toml",
        &config.replace(&format!("{{ file = \"{file}\" }}"), "{ env = \"SEALING_KEY\" }"),
    );
    world.set("SEALING_KEY", key.trim());
    assert_eq!(world.value("a"), "value");
    assert_eq!(
        world.run(&["run", "--env", "A=a", "--", "sh", "-c", "echo $A,$SEALING_KEY"]).good().out,
        "value,\n"
    );
}

#[test]
fn the_exit_code_is_the_commands() {
    let world = World::new();
    world.store("a", "1");
    for code in [0, 1, 42, 255] {
        world.run(&["run", "--env", "A=a", "--", "sh", "-c", &format!("exit {code}")]).ends(code);
    }
    world.run(&["run", "--env", "A=a", "--", "/no/such/program"]).ends(127);
    world.write("project/no-program", "text");
    world.run(&["run", "--env", "A=a", "--", "./no-program"]).ends(126);
}

#[test]
fn signals_reach_the_command() {
    let world = World::new();
    world.store("a", "1");
    let script = "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = world
        .command(&["run", "--env", "A=a", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "the signal did not arrive");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(7));
}

#[test]
fn no_secret_of_another_profile_goes_along() {
    let mut world = World::new();
    world.store("a", "value");
    let text = world.read("project/cred.toml")
        + "\n[profiles.production]\nbackend = \"local\"\nring = \"production\"\nbase_path = \"/nowhere\"\n\n\
           [rings.production]\nactive = \"prod\"\nkeys.prod = { env = \"PRODUCTION_KEY\" }\n\
           [rings.misspelt]\nactiv = \"next\"\nkeys.next = { passphrase = { env = \"NEXT_KEY\" } }\n\
           [profiles.elsewhere]\nbackend = \"not-built-in\"\nlogin = [{ token = { env = \"THEIR_TOKEN\" } }]\n";
    world.write("project/cred.toml", &text);
    for name in ["PRODUCTION_KEY", "NEXT_KEY", "THEIR_TOKEN"] {
        world.set(name, "canary");
    }
    world.set("CRED_PROFILE", "dev");
    let script = "echo $A,$PRODUCTION_KEY,$NEXT_KEY,$THEIR_TOKEN";
    assert_eq!(world.run(&["run", "--env", "A=a", "--", "sh", "-c", script]).good().out, "value,,,\n");
}

#[test]
fn a_credential_that_is_named_apart_is_no_second_one() {
    let world = World::new();
    world.store("org:acme/a-b", "1");
    world.store("org:acme/A_B", "2");
    let answer = world.run(&["run", "--scope", "org:acme", "--", "true"]).ends(2).says("two credentials");
    assert!(answer.err.contains("org:acme/a-b") && answer.err.contains("org:acme/A_B"), "{}", answer.err);
    let script = "echo $A_B,$OTHER";
    let answer =
        world.run(&["run", "--scope", "org:acme", "--env", "OTHER=org:acme/a-b", "--", "sh", "-c", script]);
    assert_eq!(answer.good().out, "2,1\n");
}

#[test]
fn a_command_without_its_dashes_is_told_of_them() {
    let world = World::new();
    world.store("org:acme/a", "1");
    world
        .run(&["run", "--scope", "org:acme", "true"])
        .ends(2)
        .says("`cred run --scope org:acme -- ./server`");
    let answer = world.run(&["run", "--scope", "org:acme", "true", "--json"]).ends(2).error();
    assert!(answer["hint"].as_str().unwrap().contains(" -- ./server"), "{answer}");
    world.run(&["run", "--scope", "org:acme", "--", "no-such-program"]).ends(127).says("PATH");
    let help = world.run(&["run", "--help"]).good().out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("is left out of what --scope gives"), "{help}");
}

/// Its memory holds keys and values; the command that it becomes is a program like any other.
#[cfg(target_os = "linux")]
#[test]
fn no_core_file_can_be_written_before_the_command_takes_over() {
    let world = World::new();
    world.store("a", "1");
    // The most that this test may allow, which some machines limit.
    let unlimited = |args: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -c $(ulimit -H -c); exec \"$@\"", "sh", env!("CARGO_BIN_EXE_cred")]);
        command.args(args).env_clear().envs(world.variables()).current_dir(world.path("project"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    };
    let core = |limits: &str| {
        let line = limits.lines().find(|line| line.contains("core")).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let output = unlimited(&["run", "--env", "A=a", "--", "cat", "/proc/self/limits"]).output().unwrap();
    let of_command = core(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(of_command[4], of_command[5], "{of_command:?}");
    let mut child = unlimited(&["rotate", "a"]).spawn().unwrap();
    crate::world::until_it_listens(&mut child);
    let own = core(&std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap());
    assert_eq!(own[4], "0", "{own:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}
