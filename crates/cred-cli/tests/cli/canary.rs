//! Passes a secret through every command, and checks where it must not appear.

use crate::world::{CommandOutput, World, files};

const CANARY: &str = "canary-5f1c9a73-the-secret-word";

fn contains_secret(bytes: &[u8]) -> bool {
    bytes.windows(10).any(|window| CANARY.as_bytes().windows(10).any(|part| part == window))
}

#[track_caller]
fn without_secret(output: CommandOutput) -> CommandOutput {
    assert!(!contains_secret(output.err.as_bytes()), "{}", output.err);
    output
}

#[test]
fn no_log_file_process_list_or_error_contains_a_secret() {
    let mut world = World::with_other(true);
    world.set("CRED_LOG", "trace");
    let record = format!(r#"[{{"path": "org:a/imported", "fields": {{"value": "{CANARY}"}}}}]"#);
    without_secret(world.run_with(&["set", "org:a/id"], CANARY).success());
    without_secret(world.run_with(&["rotate", "org:a/id"], &format!("{CANARY} again")).success());
    without_secret(world.run_with(&["import", "-", "--format", "json"], &record).success());
    without_secret(world.run_with(&["import", "-", "--format", "env"], &format!("NAME={CANARY}")).success());
    let trace = without_secret(world.run(&["get", "org:a/id"]).success());
    assert!(trace.err.contains("TRACE") || trace.err.contains("DEBUG"), "the log is empty: {}", trace.err);
    assert!(trace.out.contains(CANARY), "the result contains the secret");
    for args in [
        &["list"][..],
        &["validate", "--all"],
        &["key", "add", "next"],
        &["rekey"],
        &["doctor"],
        &["migrate", "--from", "dev", "--to", "other", "--reseal"],
        &["diff", "dev", "other"],
    ] {
        let output = without_secret(world.run(args).success());
        assert!(!contains_secret(output.out.as_bytes()), "{args:?}: {}", output.out);
    }
    let processes = "tr '\\0' ' ' < /proc/$$/cmdline; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '";
    let seen = without_secret(world.run(&["run", "--scope", "org:a", "--", "sh", "-c", processes]).success());
    assert!(seen.out.contains("cmdline") && !contains_secret(seen.out.as_bytes()), "{}", seen.out);
    for (path, bytes) in files(world.root()) {
        assert!(!contains_secret(&bytes), "{}", path.display());
    }
}

#[test]
fn rejected_input_is_not_repeated() {
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
        let output = world.run_with(args, &stdin);
        assert_ne!(output.code, 0, "{args:?} {stdin}");
        assert!(
            !contains_secret(output.err.as_bytes()) && !contains_secret(output.out.as_bytes()),
            "{args:?}: {}",
            output.err
        );
    }
}
