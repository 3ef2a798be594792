//! Running cargo from inside `cargo run`.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guard::guarded;

/// A cargo command that behaves as if it were typed at the prompt.
///
/// `cargo run` tells its child about the package that it runs. Passed on, these variables would make build
/// scripts that watch them (ring's does) run again whenever a person and a chore take turns.
pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_xtask(&mut command);
    command.args(args);
    command
}

/// The same for a program that runs cargo itself.
pub(crate) fn forget_xtask(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(describes_xtask) {
            command.env_remove(name);
        }
    }
}

/// Runs to the end, output shown as it comes; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs to the end and gives what it printed on stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed bytes that are not UTF-8"))
}

/// Runs to the end, showing each line of stdout and stderr and handing it to `line`; true on success. Under a
/// guard: test programs that wait for something end with us.
pub(crate) fn each_line(command: &Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let shown = shown(command);
    println!("$ {shown}");
    stream(guarded(command, &[]), &shown, |text| {
        println!("{text}");
        line(text);
    })
}

/// Runs to the end, handing each line of stdout and stderr to `line`; true on success.
///
/// Both streams share one pipe, since `cargo test` names a test binary on the one and its tests on the other.
pub(crate) fn stream(mut command: Command, shown: &str, mut line: impl FnMut(&str)) -> Result<bool> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdout(writer.try_clone().context("cannot share a pipe")?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    drop(command); // it holds the writing ends: the pipe would never end
    for bytes in BufReader::new(reader).split(b'\n') {
        let bytes = bytes.with_context(|| format!("cannot read the output of `{shown}`"))?;
        line(String::from_utf8_lossy(&bytes).trim_end_matches('\r'));
    }
    Ok(child.wait().with_context(|| format!("cannot wait for `{shown}`"))?.success())
}

/// The command as one would type it, without the toolchain's path.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn describes_xtask(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_")
        || ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"]
            .contains(&variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_xtask_but_keeps_the_users_settings() {
        assert!(describes_xtask("CARGO_PKG_NAME"));
        assert!(describes_xtask("CARGO_MANIFEST_DIR"));
        assert!(!describes_xtask("CARGO_HOME"));
        assert!(!describes_xtask("CARGO_TARGET_DIR"));
    }

    #[test]
    fn shows_what_one_would_type() {
        let mut command = Command::new("some/toolchain/bin/cargo");
        command.args(["fmt", "--all"]);
        assert_eq!(shown(&command), "cargo fmt --all");
    }

    #[test]
    fn lines_of_both_streams_arrive_in_order_with_the_exit_status() {
        // `cargo` itself is the one program that is surely there.
        let mut lines = Vec::new();
        let ok =
            stream(cargo(["no-such-subcommand-of-cargo"]), "", |line| lines.push(line.to_owned())).unwrap();
        assert!(!ok);
        assert!(lines.iter().any(|line| line.contains("no-such-subcommand-of-cargo")), "{lines:?}");
    }
}
