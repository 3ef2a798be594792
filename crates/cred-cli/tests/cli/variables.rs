//! The variable formats of `import` and `export`.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

use crate::world::World;

/// Values that some reader of some format would change.
const HOSTILE: [&str; 12] = [
    "it's `touch ran`",
    "$HOME ${HOME} $(id)",
    "{\"key\":\"-----BEGIN\\nAA\\n-----END\\n\"}",
    "a\r\nb\r",
    "back\\slash\\\\",
    "'\"`$\\",
    " leading and trailing ",
    "\n\nlines\n\n",
    "# no comment #",
    "ünïcödé \u{2028}",
    "EOF\ncred\n::set-env name=x::y 100%",
    "x",
];

fn hostile() -> World {
    let world = World::new();
    for (number, value) in HOSTILE.iter().enumerate() {
        world.run_with(&["set", &format!("t:x/V{number}"), "--raw"], value).success();
    }
    world
}

#[test]
fn a_shell_reads_any_value_back() {
    let world = hostile();
    let text = world.run(&["export", "--scope", "t:x", "--format", "shell"]).success().out;
    world.write("project/vars.sh", &text);
    for (number, value) in HOSTILE.iter().enumerate() {
        // Also in a child process of the shell.
        let script = format!(". ./vars.sh; sh -c 'printf %s \"$V{number}\"'");
        let read =
            Command::new("sh").args(["-c", &script]).current_dir(world.path("project")).output().unwrap();
        assert_eq!(String::from_utf8(read.stdout).unwrap(), *value, "{value:?}");
    }
    assert!(!world.path("project/ran").exists(), "a value must not be executed");
}

#[test]
fn a_value_that_a_format_cannot_represent_is_rejected_by_name() {
    for (format, value) in [
        ("env", "a\rb"),
        ("env", "it's $5"),
        ("env", "${HOME}"),
        ("env", "ends in \\"),
        ("docker", "two\nlines"),
        ("docker", "a\rb"),
    ] {
        let world = World::new();
        world.run_with(&["set", "t:x/api-key", "--raw"], value).success();
        let output = world.run(&["export", "--scope", "t:x", "--format", format, "-o", "out"]).exits_with(2);
        let output =
            output.stderr_has("API_KEY").stderr_has("`t:x/api-key`").stderr_has("shell").stderr_has("json");
        assert!(!output.err.contains(value), "{}", output.err);
        assert!(!world.path("project/out").exists());
    }
}

#[test]
fn docker_files_have_no_quotes_and_are_read_back_unchanged() {
    let world = World::new();
    for (name, value) in [("A", "{\"id\":\"a-1\"}"), ("B", "'x' # \\ $y "), ("C", "ü")] {
        world.run_with(&["set", &format!("t:x/{name}"), "--raw"], value).success();
    }
    let text = world.run(&["export", "--scope", "t:x", "--format", "docker", "-o", "-"]).success().out;
    assert_eq!(text, "A={\"id\":\"a-1\"}\nB='x' # \\ $y \nC=ü\n");
    assert!(!world.path("project/-").exists());
    world.run_with(&["import", "-", "--format", "docker", "--scope", "t:y"], &text).success();
    assert_eq!(world.value("t:y/B"), "'x' # \\ $y ");
}

#[test]
fn github_gets_variables_in_its_file_and_masks_on_stdout() {
    let world = hostile();
    world.write("project/github", "BEFORE=1");
    for args in [&["--output", "-"][..], &[]] {
        let args = [&["export", "--scope", "t:x", "--format", "gha"], args].concat();
        world.run(&args).exits_with(2).stderr_has("GITHUB_ENV");
    }
    let masks = world.run(&["export", "--scope", "t:x", "--format", "gha", "-o", "github"]).success().out;
    for mask in
        ["::add-mask::it's `touch ran`", "::add-mask::lines", "::add-mask::::set-env name=x::y 100%25"]
    {
        assert!(masks.lines().any(|line| line == mask), "{mask} is not in {masks}");
    }
    assert!(masks.lines().all(|line| line.starts_with("::add-mask::") && line.len() > 12), "{masks}");
    // The syntax of the runner: NAME<<DELIMITER, lines, DELIMITER.
    let text = world.read("project/github");
    let mut rest = text.strip_prefix("BEFORE=1\n").unwrap();
    let mut read = Vec::new();
    while let Some((head, after)) = rest.split_once('\n') {
        let (name, delimiter) = head.split_once("<<").unwrap();
        let (value, after) = after.split_once(&format!("\n{delimiter}\n")).unwrap();
        read.push((name, value));
        rest = after;
    }
    read.sort_by_key(|(name, _)| name[1..].parse::<usize>().unwrap());
    assert_eq!(read.iter().map(|(_, value)| *value).collect::<Vec<_>>(), HOSTILE);
    let mode = |place: &str| std::fs::metadata(world.path(place)).unwrap().permissions().mode() & 0o777;
    world.run(&["export", "--scope", "t:x", "--format", "gha", "-o", "new"]).success();
    assert_eq!(mode("project/new"), 0o600);
}

#[test]
fn an_object_of_names_and_values_is_exported_and_imported() {
    let world = World::new();
    world.write("project/flat.json", "\u{feff}{\"STRIPE\": \"sk\", \"tf_db\": \"pg\\n\", \"NONE\": \"\"}");
    world.run(&["import", "flat.json", "--scope", "t:x"]).success().stderr_has("NONE");
    let out = world.run(&["export", "--scope", "t:x", "--format", "json-flat"]).success().json();
    assert_eq!(out, json!({"STRIPE": "sk", "tf_db": "pg\n"}));
    for (text, place) in [
        ("{\"A\":\n5}", "line 2"),
        ("{\"A\": \"hunter2\",\n\"A\": \"hunter3\"}", "line 2"),
        ("{\"A\": \"1\", \"not an id\": \"hunter2\"}", "entry 2"),
    ] {
        let output =
            world.run_with(&["import", "-", "--format", "json"], text).exits_with(2).stderr_has(place);
        assert!(!output.err.contains("hunter"), "{}", output.err);
    }
    let record = "{\"path\": \"a\", \"fields\": {\"value\": \"1\"}}";
    world
        .run_with(&["import", "-", "--format", "json", "--scope", "t:x"], record)
        .exits_with(2)
        .stderr_has("--scope");
}

#[test]
fn names_keep_their_case() {
    let world = World::new();
    let text = "TF_VAR_db=1\nhttp_proxy=2\nHTTP_PROXY=3\napiKey=4\nAPIKEY=5\n";
    world.write("project/.env", text);
    let output = world.run(&["import", ".env", "--scope", "t:x"]).success();
    assert!(!output.err.contains("warning"), "{}", output.err);
    let out = world.run(&["export", "--scope", "t:x", "--format", "docker"]).success().out;
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&out), sorted(text));
    let script = "echo $TF_VAR_db$http_proxy$HTTP_PROXY$apiKey$APIKEY";
    assert_eq!(world.run(&["run", "--scope", "t:x", "--", "sh", "-c", script]).success().out, "12345\n");
    world
        .run_with(&["import", "-", "--scope", "t:y"], "user=1\n")
        .success()
        .stderr_has("upper case")
        .stderr_has("user");
    assert_eq!(world.run(&["export", "--scope", "t:y", "--format", "docker"]).success().out, "USER=1\n");
}

#[test]
fn an_invalid_line_of_an_env_file_is_reported_by_number() {
    let world = World::new();
    let text = format!("{}OK=1\nBAD=two hunter2\n", "# note\n\n".repeat(20));
    let output = world
        .run_with(&["import", "-"], &text)
        .exits_with(2)
        .stderr_has("line 42")
        .stderr_has("single quotes");
    assert!(!output.err.contains("hunter2"), "{}", output.err);
    assert_eq!(world.run(&["list", "--flat"]).success().out, "");
}

#[test]
fn json_keeps_times_to_the_millisecond() {
    let world = World::with_other(false);
    let stamp = "2100-01-31T12:00:00.007Z";
    world.run_with(&["set", "a", "--expires", stamp, "--rotation", &format!("at:{stamp}")], "v").success();
    world.run(&["export", "-o", "all.json"]).success();
    world.run(&["import", "all.json", "-p", "other"]).success();
    assert_eq!(world.run(&["get", "a", "-p", "other", "--json"]).success().json()["expires_at"], stamp);
    let found = world.run(&["diff", "dev", "other"]).out;
    assert!(!found.contains("expiry") && !found.contains("rotation"), "{found}");
}
