//! `cred run`: the command that replaces the process.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::world::World;

#[test]
fn the_command_gets_exactly_the_selected_credentials() {
    let mut world = World::new();
    world.store("org:acme/stripe-api-key", "sk_live");
    world
        .run_with(
            &["set", "org:acme/db", "--kind", "username-password", "--fields"],
            r#"{"username": "u", "password": "p"}"#,
        )
        .success();
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
    assert_eq!(world.run(&args).success().out, "sk_live,u,p,,kept,one,p\n");
    world.run(&["run", "--env", "X=absent", "--", "true"]).exits_with(4);
    world.run(&["run", "--env", "X=org:acme/db", "--", "true"]).exits_with(2).stderr_has("several fields");
    world
        .run(&["run", "--env", "STRIPE_API_KEY=single", "--scope", "org:acme", "--", "true"])
        .exits_with(2)
        .stderr_has("would both become");
    world.run(&["run", "--", "true"]).exits_with(2);
}

#[test]
fn the_command_does_not_get_the_key() {
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
        world.run(&["run", "--env", "A=a", "--", "sh", "-c", "echo $A,$SEALING_KEY"]).success().out,
        "value,\n"
    );
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let world = World::new();
    world.store("a", "1");
    for code in [0, 1, 42, 255] {
        world.run(&["run", "--env", "A=a", "--", "sh", "-c", &format!("exit {code}")]).exits_with(code);
    }
    world.run(&["run", "--env", "A=a", "--", "/no/such/program"]).exits_with(127);
    world.write("project/no-program", "text");
    world.run(&["run", "--env", "A=a", "--", "./no-program"]).exits_with(126);
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
fn the_command_gets_no_secret_of_another_profile() {
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
    assert_eq!(world.run(&["run", "--env", "A=a", "--", "sh", "-c", script]).success().out, "value,,,\n");
}

#[test]
fn a_credential_named_with_env_is_not_passed_twice() {
    let world = World::new();
    world.store("org:acme/a-b", "1");
    world.store("org:acme/A_B", "2");
    let output = world
        .run(&["run", "--scope", "org:acme", "--", "true"])
        .exits_with(2)
        .stderr_has("would both become");
    assert!(output.err.contains("org:acme/a-b") && output.err.contains("org:acme/A_B"), "{}", output.err);
    let script = "echo $A_B,$OTHER";
    let output =
        world.run(&["run", "--scope", "org:acme", "--env", "OTHER=org:acme/a-b", "--", "sh", "-c", script]);
    assert_eq!(output.success().out, "2,1\n");
}

#[test]
fn a_command_without_dashes_gets_a_hint() {
    let world = World::new();
    world.store("org:acme/a", "1");
    world
        .run(&["run", "--scope", "org:acme", "true"])
        .exits_with(2)
        .stderr_has("`cred run --scope org:acme -- ./server`");
    let output = world.run(&["run", "--scope", "org:acme", "true", "--json"]).exits_with(2).error();
    assert!(output["hint"].as_str().unwrap().contains(" -- ./server"), "{output}");
    world.run(&["run", "--scope", "org:acme", "--", "no-such-program"]).exits_with(127).stderr_has("PATH");
    let help = world.run(&["run", "--help"]).success().out;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("--scope does not pass a credential again"), "{help}");
}

/// The memory of this process holds keys and values. The command that replaces it has no such
/// limit.
#[cfg(target_os = "linux")]
#[test]
fn no_core_file_can_be_written_before_the_command_starts() {
    let world = World::new();
    world.store("a", "1");
    // The highest limit that this test may set, which depends on the machine.
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
    crate::world::wait_for_signal_handlers(&mut child);
    let own = core(&std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap());
    assert_eq!(own[4], "0", "{own:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_empty_scope_starts_no_command() {
    let world = World::new();
    world.store("t:x/team:y/below", "1");
    world.store("single", "1");
    let started = world.path("project/started");
    let touch = ["--", "touch", started.to_str().unwrap()];
    for args in [&["run", "--scope", "t:x"][..], &["run", "--scope", "t:typo", "--env", "A=single"]] {
        world.run(&[args, &touch].concat()).exits_with(4).stderr_has(args[2]).stderr_has("--allow-empty");
        assert!(!started.exists());
    }
    world.run(&[&["run", "--scope", "t:x", "--allow-empty"], &touch[..]].concat()).success();
    assert!(started.exists());
}

#[test]
fn a_value_that_cannot_be_a_variable_is_skipped_and_listed() {
    let world = World::new();
    std::fs::write(world.path("project/p12"), [0xff, 0, 1]).unwrap();
    world.run(&["set", "t:x/p12", "--file", "p12"]).success();
    world.store("t:x/2fa", "123456");
    world.store("t:x/A", "v");
    let run = ["run", "--scope", "t:x", "-q"];
    let output = world.run(&[&run[..], &["--", "printenv", "A"]].concat()).success();
    assert_eq!(output.out, "v\n");
    assert!(output.err.contains("`t:x/p12`") && output.err.contains("`t:x/2fa`"), "{}", output.err);
    assert!(!output.err.contains("123456"), "{}", output.err);
    let strict = world
        .run(&[&run[..], &["--strict", "--", "printenv", "A"]].concat())
        .exits_with(2)
        .stderr_has("`t:x/2fa`");
    assert_eq!(strict.out, "");
    // A credential that --env renames is not skipped.
    let named = ["--strict", "--env", "CODE=t:x/2fa", "--", "true"];
    world.run(&[&run[..], &named].concat()).exits_with(1).stderr_has("`t:x/p12`");
}

#[test]
fn the_environment_is_kept_or_cleaned_on_request() {
    let mut world = World::new();
    world.store("t:x/A", "stored");
    world.store("t:x/B", "stored");
    world.set("A", "mine");
    world.set("OTHER", "other");
    world.set("LC_ALL", "C");
    let run = |option: &[&str]| {
        let script = "echo $A,$B,$OTHER,$LC_ALL,${HOME:+home},${PATH:+path}";
        world.run(&[&["run", "--scope", "t:x"], option, &["--", "sh", "-c", script]].concat()).success().out
    };
    assert_eq!(run(&[]), "stored,stored,other,C,home,path\n");
    assert_eq!(run(&["--keep-existing"]), "mine,stored,other,C,home,path\n");
    assert_eq!(run(&["--clean-env"]), "stored,stored,,C,home,path\n");
}

#[test]
fn a_scope_cannot_choose_the_code_that_runs() {
    let world = World::new();
    std::fs::create_dir(world.path("project/evil")).unwrap();
    let evil = world.path("project/evil/ls");
    world.write("project/evil/ls", "#!/bin/sh\necho evil\n");
    std::fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let folder = evil.parent().unwrap().to_string_lossy().into_owned();
    for id in ["path", "LD_PRELOAD", "node-options", "GIT_SSH_COMMAND"] {
        let path = format!("t:{id}/{id}");
        world.store(&path, &folder);
        let scope = format!("t:{id}");
        let output = world
            .run(&["run", "--scope", &scope, "--", "ls"])
            .exits_with(2)
            .stderr_has(&path)
            .stderr_has("--env");
        assert_eq!(output.out, "");
        world.run(&["export", "--scope", &scope, "--format", "shell"]).exits_with(2).stderr_has(&path);
    }
    // With --env it is passed, and does not choose the command itself.
    let given = world.run(&["run", "--env", "PATH=t:path/path", "--", "sh", "-c", "echo $PATH"]).success();
    assert_eq!(given.out.trim(), folder);
    let listed = world.run(&["run", "--env", "PATH=t:path/path", "--", "ls"]).success().out;
    assert!(listed.contains("cred.toml"), "{listed}");
    let other = ["run", "--scope", "t:path", "--env", "TOOLS=t:path/path", "--", "sh", "-c", "echo $TOOLS"];
    assert_eq!(world.run(&other).success().out.trim(), folder);
}

/// Only Linux reports which signals are ignored.
#[cfg(target_os = "linux")]
#[test]
fn ignored_signals_stay_ignored() {
    let world = World::new();
    world.store("a", "1");
    let ignored = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_cred")]).env_clear().envs(world.variables());
        let out = shell.current_dir(world.path("project")).output().unwrap().stdout;
        let text = String::from_utf8(out).unwrap();
        u64::from_str_radix(text.trim().strip_prefix("SigIgn:").unwrap().trim(), 16).unwrap()
    };
    let grep = "\"$0\" run --env A=a -- grep SigIgn /proc/self/status";
    let (int, term) = (1 << (2 - 1), 1 << (15 - 1));
    assert_eq!(ignored(&format!("trap '' INT TERM; exec {grep}")) & (int | term), int | term);
    assert_eq!(ignored(&format!("trap '' INT; exec {grep}")) & (int | term), int);
    assert_eq!(ignored(&format!("exec {grep}")) & (int | term), 0);
}

/// Linux rejects a variable of 128 KiB or more; other systems have other limits.
#[cfg(target_os = "linux")]
#[test]
fn a_variable_that_is_too_large_is_reported_by_name() {
    let world = World::new();
    world.store("t:x/small", "1");
    world.run_with(&["set", "t:x/large-one"], &"x".repeat(200_000)).success();
    let output = world.run(&["run", "--scope", "t:x", "--", "true"]).exits_with(126);
    output.stderr_has("LARGE_ONE").stderr_has("200000 bytes").stderr_has("stdin");
}

#[test]
fn an_expired_credential_causes_a_warning_or_an_error() {
    let world = World::new();
    let record = r#"{"path": "t:x/old", "fields": {"value": "v"}, "expires_at": "2020-01-31"}"#;
    world.run_with(&["import", "-", "--format", "json"], record).success();
    for args in [
        &["get", "t:x/old"][..],
        &["run", "--scope", "t:x", "--", "printenv", "OLD"],
        &["run", "--env", "OLD=t:x/old", "--", "printenv", "OLD"],
    ] {
        let output = world.run(args).success().stderr_has("`t:x/old` expired at 2020-01-31");
        assert_eq!(output.out.trim(), "v");
        let refusing = [&args[..1], &["--refuse-expired"], &args[1..]].concat();
        let output = world.run(&refusing).exits_with(1).stderr_has("`t:x/old` expired at 2020-01-31");
        assert_eq!(output.out, "");
    }
    for args in [&["set", "a", "--generate"][..], &["rotate", "t:x/old", "--generate"]] {
        world.run(&[args, &["--expires", "2020-01-01"]].concat()).exits_with(2).stderr_has("future");
    }
    world.run(&["rotate", "t:x/old", "--generate", "--expires", "30d"]).success();
    world.run(&["get", "t:x/old", "--refuse-expired"]).success();
}
