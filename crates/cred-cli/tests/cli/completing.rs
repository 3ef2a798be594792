//! Shell completions.

use std::process::Command;

use crate::world::World;

fn stored() -> World {
    let world = World::new();
    for path in ["org:acme/stripe-key", "org:acme/team:pay/db", "org:other/stripe", "plain"] {
        world.store(path, "hunter2");
    }
    world
}

#[test]
fn stored_paths_and_scopes_are_listed_by_prefix() {
    let world = stored();
    let list = |args: &[&str]| world.run(&[&["complete-paths"], args].concat()).success().out;
    assert_eq!(list(&[]), "org:acme/stripe-key\norg:acme/team:pay/db\norg:other/stripe\nplain\n");
    assert_eq!(list(&["org:acme/s"]), "org:acme/stripe-key\n");
    assert_eq!(list(&["org:acme/team:pay/"]), "org:acme/team:pay/db\n");
    assert_eq!(list(&["--scopes"]), "org:acme\norg:acme/team:pay\norg:other\n");
    assert_eq!(list(&["--scopes", "org:acme/t"]), "org:acme/team:pay\n");
    assert_eq!(list(&["org:nothing/"]), "");
}

#[test]
fn an_error_is_not_printed_while_a_line_is_completed() {
    let world = World::empty();
    let output = world.run(&["complete-paths"]).success();
    assert_eq!((output.out.as_str(), output.err.as_str()), ("", ""));
    let world = stored();
    world.write("project/cred.toml", "not toml");
    let output = world.run(&["complete-paths", "-p", "absent"]).success();
    assert_eq!((output.out.as_str(), output.err.as_str()), ("", ""));
}

/// A FIFO without a writer simulates a backend that does not answer.
#[test]
fn completion_does_not_wait_for_an_unresponsive_backend() {
    let world = World::empty();
    let fifo = world.path("project/fifo.toml");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let output = world.run(&["complete-paths", "--config", fifo.to_str().unwrap()]).success();
    assert_eq!((output.out.as_str(), output.err.as_str()), ("", ""));
}

#[test]
fn bash_completes_paths_scopes_and_options() {
    let mut world = stored();
    let cred = std::path::Path::new(env!("CARGO_BIN_EXE_cred"));
    let path = std::env::var("PATH").unwrap();
    world.set("PATH", &format!("{}:{path}", cred.parent().unwrap().display()));
    // Bash passes the function words split at `:` and `=`.
    let complete = |words: &[&str]| {
        let script = r#"source <(cred completions bash)
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _cred cred "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let mut bash = Command::new("bash");
        bash.args(["-uc", script, "bash", "cred"]).args(words).env_clear().envs(world.variables());
        let output = bash.current_dir(world.path("project")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["get", "org:acme/s"]), "org:acme/stripe-key", "in one word");
    assert_eq!(complete(&["get", "org", ":", "acme/s"]), "acme/stripe-key");
    assert_eq!(complete(&["rm", "plain", "org", ":", "acme/team", ":", "pay/"]), "pay/db");
    assert_eq!(complete(&["get", "org", ":"]).lines().count(), 3);
    assert_eq!(complete(&["recover", "pl"]), "", "the credential is not deleted");
    assert_eq!(complete(&["-p", "dev", "list", "org", ":", "o"]), "other");
    assert_eq!(complete(&["run", "--scope", "org", ":", "ot"]), "other");
    assert_eq!(complete(&["run", "--scope", "=", "org", ":", "ot"]), "other");
    assert_eq!(complete(&["run", "--env", "X", "=", "org", ":", "ot"]), "other/stripe");
    assert_eq!(complete(&["run", "--env", "X", "=", "pl"]), "plain");
    assert_eq!(complete(&["-p", "absent", "get", "pl"]), "");
    assert_eq!(complete(&["get", "--sh"]), "--show");
    assert_eq!(complete(&["comp"]), "completions", "the hidden command must not be offered");
    assert!(!complete(&["run", "--scope", "org:acme", "--", "cat", "pl"]).contains("plain"));
}

#[test]
fn zsh_and_fish_complete_stored_paths() {
    let world = World::empty();
    let zsh = world.run(&["completions", "zsh"]).success().out;
    for action in ["ID:_cred_paths'", ":SCOPE:_cred_scopes'", ":_cred_named'", "'::scope -- "] {
        assert!(zsh.contains(action), "{action}");
    }
    assert!(!zsh.contains("ID:_default'") && !zsh.contains("SCOPE:_default'"));
    let fish = world.run(&["completions", "fish"]).success().out;
    assert!(fish.contains("using_subcommand set get rm rotate\" -f -a \"(__fish_cred_stored)\""), "{fish}");
    assert!(fish.contains("recover purge\" -f -a \"(__fish_cred_stored --deleted)\""), "{fish}");
    assert_eq!(zsh.matches(":_cred_deleted'").count(), 2, "{zsh}");
    for script in [zsh, fish, world.run(&["completions", "bash"]).success().out] {
        for name in ["@PATHS@", "@DELETED@", "@SCOPES@", "@SCOPED@", "@COMMANDS@", "@VALUED@"] {
            assert!(!script.contains(name), "{name} was not replaced");
        }
    }
}
