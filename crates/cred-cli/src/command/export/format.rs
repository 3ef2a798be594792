//! The formats of `cred export`.

use clap::ValueEnum;
use cred_core::Zeroizing;

use crate::environment::{Environment, Variable};
use crate::failure::Failure;
use crate::{docker, dotenv, input};

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Everything about each credential: path, kind, fields, tags, times
    Json,
    /// One JSON object, {"NAME": "value"}
    JsonFlat,
    /// A .env file that sh, node --env-file, npm's dotenv and python-dotenv read the same
    Env,
    /// Assignments for a shell, to be evaluated with `eval` or `.`
    Shell,
    /// NAME=value without quotes, for docker run --env-file and kubectl --from-env-file
    Docker,
    /// GitHub Actions: appends the variables to --output, and prints commands that mask the values
    /// in the log
    Gha,
}

/// A format with one or more lines per variable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lines {
    Env,
    Shell,
    Docker,
    Gha,
}

impl Lines {
    /// Formats all variables, in a buffer that never grows: growing leaves copies in freed memory.
    pub(super) fn of(self, environment: &Environment<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let delimiter = match self {
            Self::Gha => delimiter()?,
            _ => String::new(),
        };
        let len = |one: Variable<'_, '_>| match self {
            Self::Env => dotenv::len(one.name, one.value),
            Self::Docker => docker::len(one.name, one.value),
            Self::Shell => one.name.len() + one.value.len() + 3 * one.value.matches('\'').count() + 11,
            Self::Gha => one.name.len() + one.value.len() + 2 * delimiter.len() + 6,
        };
        let length = environment.iter().map(len).sum();
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        let mut rejected = Vec::new();
        for one in environment.iter() {
            let mut written = Ok(());
            match self {
                Self::Env => written = dotenv::write(one.name, one.value, &mut text),
                Self::Docker => written = docker::write(one.name, one.value, &mut text),
                Self::Shell => shell(one, &mut text),
                Self::Gha => github(one, &delimiter, &mut text),
            }
            if let Err(problem) = written {
                rejected.push(format!("the value of {} (`{}`) {problem}", one.name, one.path));
            }
        }
        if !rejected.is_empty() {
            let format = if let Self::Docker = self { "docker" } else { "env" };
            let message = format!(
                "--format {format} cannot represent every value, so nothing was written: {}",
                rejected.join("; ")
            );
            return Err(Failure::usage(message)
                .hint("use --format shell, json-flat or json, which can represent any text"));
        }
        debug_assert!(text.len() <= length, "the buffer must not grow");
        Ok(text)
    }
}

/// In every shell, single quotes protect everything except a single quote.
fn shell(one: Variable<'_, '_>, to: &mut Zeroizing<Vec<u8>>) {
    to.extend_from_slice(b"export ");
    to.extend_from_slice(one.name.as_bytes());
    to.extend_from_slice(b"='");
    for (number, part) in one.value.split('\'').enumerate() {
        if number > 0 {
            to.extend_from_slice(b"'\\''");
        }
        to.extend_from_slice(part.as_bytes());
    }
    to.extend_from_slice(b"'\n");
}

/// Writes a value between two random delimiter lines, which occur in no value.
fn github(one: Variable<'_, '_>, delimiter: &str, to: &mut Zeroizing<Vec<u8>>) {
    for part in [one.name, "<<", delimiter, "\n", one.value, "\n", delimiter, "\n"] {
        to.extend_from_slice(part.as_bytes());
    }
}

fn delimiter() -> Result<String, Failure> {
    let random = u128::from_le_bytes(*input::random::<16>()?);
    Ok(format!("cred_{random:032x}"))
}

/// Commands that mask every line of every value in the log of GitHub Actions.
pub(super) fn masks(environment: &Environment<'_>) -> Zeroizing<Vec<u8>> {
    const COMMAND: &[u8] = b"::add-mask::";
    let lines =
        || environment.iter().flat_map(|one| one.value.split(['\n', '\r'])).filter(|line| !line.is_empty());
    let length = lines().map(|line| COMMAND.len() + line.len() + 2 * line.matches('%').count() + 1).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    for line in lines() {
        text.extend_from_slice(COMMAND);
        for (number, part) in line.split('%').enumerate() {
            if number > 0 {
                text.extend_from_slice(b"%25");
            }
            text.extend_from_slice(part.as_bytes());
        }
        text.push(b'\n');
    }
    text
}
