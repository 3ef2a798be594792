//! A secret through everything that the program does, and where it must not come out.

use crate::world::{Answer, World, files};

const CANARY: &str = "canary-5f1c9a73-the-secret-word";

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| CANARY.as_bytes().windows(10).any(|part| part == window))
}

#[track_caller]
fn silent(answer: Answer) -> Answer {
    assert!(!holds(answer.err.as_bytes()), "{}", answer.err);
    answer
}

#[test]
fn a_secret_is_in_no_log_no_file_no_list_of_processes_and_no_error() {
    let mut world = World::with_other(true);
    world.set("CRED_LOG", "trace");
    let record = format!(r#"[{{"path": "org:a/imported", "fields": {{"value": "{CANARY}"}}}}]"#);
    silent(world.run_with(&["set", "org:a/id"], CANARY).good());
    silent(world.run_with(&["rotate", "org:a/id"], &format!("{CANARY} again")).good());
    silent(world.run_with(&["import", "-", "--format", "json"], &record).good());
    silent(world.run_with(&["import", "-", "--format", "env"], &format!("NAME={CANARY}")).good());
    let trace = silent(world.run(&["get", "org:a/id"]).good());
    assert!(trace.err.contains("TRACE") || trace.err.contains("DEBUG"), "it logs: {}", trace.err);
    assert!(trace.out.contains(CANARY), "and this is what it is about");
    for args in [
        &["list"][..],
        &["validate", "--all"],
        &["key", "add", "next"],
        &["rekey"],
        &["doctor"],
        &["migrate", "--from", "dev", "--to", "other", "--reseal"],
        &["diff", "dev", "other"],
    ] {
        let answer = silent(world.run(args).good());
        assert!(!holds(answer.out.as_bytes()), "{args:?}: {}", answer.out);
    }
    let processes = "tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '";
    let seen = silent(world.run(&["run", "--scope", "org:a", "--", "sh", "-c", processes]).good());
    assert!(seen.out.contains("cmdline") && !holds(seen.out.as_bytes()), "{}", seen.out);
    for (path, bytes) in files(world.root()) {
        assert!(!holds(&bytes), "{}", path.display());
    }
}

#[test]
fn an_input_that_is_refused_is_not_repeated() {
    let world = World::new();
    for (args, stdin) in [
        (
            &["import", "-", "--format", "json"][..],
            format!(r#"{{"path": "a", "fields": {{"value": "{CANARY}"}}, "extra": 1}}"#),
        ),
        (&["import", "-", "--format", "json"], format!(r#"{{"path": "a", "fields": {{"value": "{CANARY}" "#)),
        (&["import", "-", "--format", "json"], format!(r#"{{"path": "{CANARY} ", "fields": {{}}}}"#)),
        (&["import", "-", "--format", "env"], format!("A=1\n{CANARY} {CANARY}\n")),
        (&["import", "-", "--format", "env"], format!("{CANARY}!=1\n")),
        (&["set", "a", "--fields"], CANARY.to_owned()),
        (&["set", "a", "--fields"], format!(r#"{{"value": ["{CANARY}"]}}"#)),
        (&["set", "a", "--fields"], format!(r#"{{"{CANARY} x": "1"}}"#)),
    ] {
        let answer = world.run_with(args, &stdin);
        assert_ne!(answer.code, 0, "{args:?} {stdin}");
        assert!(!holds(answer.err.as_bytes()) && !holds(answer.out.as_bytes()), "{args:?}: {}", answer.err);
    }
}
