//! The test fixture: a home folder, a project folder, and the program.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A new user with an empty project.
pub(crate) struct World {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "project", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, variables: Vec::new() }
    }

    /// After `cred init`.
    pub(crate) fn new() -> Self {
        let world = Self::empty();
        world.run(&["init"]).success();
        world
    }

    /// With a second profile `other`, which has its own store, and with `own_ring` its own ring.
    pub(crate) fn with_other(own_ring: bool) -> Self {
        let world = Self::new();
        let other = world.path("home/other-store");
        let mut text = world.read("project/cred.toml");
        let ring = if own_ring { "other" } else { "main" };
        text += &format!(
            "\n[profiles.other]\nbackend = \"local\"\nring = \"{ring}\"\nbase_path = \"{}\"\n",
            other.display()
        );
        world.write("project/cred.toml", &text);
        if own_ring {
            world.run(&["key", "add", "other-key", "-p", "other"]).success();
        }
        world
    }

    pub(crate) fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn read(&self, place: &str) -> String {
        fs::read_to_string(self.path(place)).unwrap()
    }

    /// Writes a file. A configuration file of the project is then trusted, if it can be read.
    pub(crate) fn write(&self, place: &str, text: &str) {
        fs::write(self.path(place), text).unwrap();
        if place == "project/cred.toml" {
            self.run(&["trust", "-q"]);
        }
    }

    /// Sets a variable for all later commands.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The environment of every command. Only PATH comes from the process that runs the tests.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("PATH".to_owned(), std::env::var("PATH").unwrap()),
            ("HOME".to_owned(), self.path("home").to_string_lossy().into_owned()),
            ("TMPDIR".to_owned(), self.path("tmp").to_string_lossy().into_owned()),
            ("TERM".to_owned(), "xterm".to_owned()),
        ];
        variables.extend(self.variables.iter().cloned());
        variables
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cred"));
        command.args(args).env_clear().envs(self.variables()).current_dir(self.path("project"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> CommandOutput {
        CommandOutput::of(self.command(args).spawn().unwrap())
    }

    /// Runs a command with the given stdin.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &str) -> CommandOutput {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        // A command that fails before it reads closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        CommandOutput::of(child)
    }

    /// Stores a value.
    pub(crate) fn store(&self, path: &str, value: &str) {
        self.run_with(&["set", path], value).success();
    }

    /// The file of the first key.
    pub(crate) fn key_file(&self) -> String {
        let config = self.read("project/cred.toml");
        config.lines().find_map(|line| line.strip_prefix("keys.")?.split('"').nth(1)).unwrap().to_owned()
    }

    /// The id of the first key.
    pub(crate) fn key_id(&self) -> String {
        self.run(&["key", "list", "--json"]).success().json()[0]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn value(&self, path: &str) -> String {
        self.run(&["get", path]).success().out
    }

    /// Stores `count` credentials with distinct values, in several scopes.
    pub(crate) fn fill(&self, count: usize) {
        let record = |number: usize| {
            serde_json::json!({
                "path": format!("org:acme/team:t{}/credential-{number}", number % 7),
                "kind": "api-key",
                "fields": {"value": format!("value of {number}")},
                "tags": {"number": number.to_string()},
            })
        };
        let records: Vec<_> = (0..count).map(record).collect();
        let json = serde_json::to_string(&records).unwrap();
        self.run_with(&["import", "-", "--format", "json", "-q"], &json).success();
    }
}

impl CommandOutput {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.exits_with(0)
    }

    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn stderr_has(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is not in: {}", self.err);
        self
    }

    /// Parses stderr as one JSON document.
    #[track_caller]
    pub(crate) fn error(&self) -> serde_json::Value {
        serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {}", self.err))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// Waits until the process has handlers for SIGINT and SIGTERM; on systems that do not report them,
/// for half a second.
pub(crate) fn wait_for_signal_handlers(child: &mut Child) {
    const BOTH: u64 = 1 << (2 - 1) | 1 << (15 - 1);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) && child.try_wait().unwrap().is_none() {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", child.id())) else {
            return std::thread::sleep(Duration::from_millis(500));
        };
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        if caught & BOTH == BOTH {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every file below a folder, with its contents.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}
