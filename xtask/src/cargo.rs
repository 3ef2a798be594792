//! Running cargo from inside `cargo run`.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::guard::guarded;

/// A cargo command that behaves as if it were typed at the prompt.
///
/// `cargo run` sets variables about the package that it runs. If they were passed on, build scripts
/// that watch them (as ring's does) would run again each time that cargo is started in the other
/// way.
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

/// Runs to the end and returns its stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed bytes that are not UTF-8"))
}

/// Runs under a guard to the end, showing each line of stdout and stderr and handing it to `line`;
/// true on success.
pub(crate) fn each_line(command: &Command, limit: Duration, mut line: impl FnMut(&str)) -> Result<bool> {
    println!("$ {}", shown(command));
    each_line_unseen(command, limit, |text| {
        println!("{text}");
        line(text);
    })
}

/// Runs under a guard to the end, handing each line of stdout and stderr to `line`; true on
/// success. A command that takes longer than `limit` is stopped, which is an error.
///
/// Both streams share one pipe, so that lines arrive in their order.
pub(crate) fn each_line_unseen(
    command: &Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<bool> {
    let shown = shown(command);
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    let mut guarded = guarded(command, &[]);
    guarded.stdout(writer.try_clone().context("cannot share a pipe")?).stderr(writer);
    let mut child = guarded.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    drop(guarded); // it holds the writing ends: the pipe would never end
    let hold = child.stdin.take();
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let late = end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        drop(hold); // the guard stops the command, where it still runs
        late
    });
    for bytes in BufReader::new(reader).split(b'\n') {
        let bytes = bytes.with_context(|| format!("cannot read the output of `{shown}`"))?;
        line(String::from_utf8_lossy(&bytes).trim_end_matches('\r'));
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    drop(ended);
    if watch.join().unwrap_or(false) {
        bail!("`{shown}` took longer than {} s, and was stopped", limit.as_secs());
    }
    Ok(status.success())
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
