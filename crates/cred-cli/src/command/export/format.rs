//! The formats of `cred export` that are lines of variables.

use clap::ValueEnum;
use cred_core::Zeroizing;

use crate::environment::{Environment, Variable};
use crate::failure::Failure;
use crate::{docker, dotenv, input};

/// How credentials are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// All of each credential: path, kind, fields, tags, times
    Json,
    /// One object of names and values, {"NAME": "value"}
    JsonFlat,
    /// A .env file that sh, node --env-file, npm's dotenv and python-dotenv read the same
    Env,
    /// Assignments for a shell: eval "$(cred export --format shell)"
    Shell,
    /// NAME=value without quotes, for docker run --env-file and kubectl --from-env-file
    Docker,
    /// Appends to the file that GITHUB_ENV names, and prints commands that mask the values in the
    /// log
    Gha,
}

/// A format that is lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lines {
    Env,
    Shell,
    Docker,
    Gha,
}

impl Lines {
    /// All variables, in a buffer that never grows: growing leaves copies behind.
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
        let mut refused = Vec::new();
        for one in environment.iter() {
            let mut written = Ok(());
            match self {
                Self::Env => written = dotenv::write(one.name, one.value, &mut text),
                Self::Docker => written = docker::write(one.name, one.value, &mut text),
                Self::Shell => shell(one, &mut text),
                Self::Gha => github(one, &delimiter, &mut text),
            }
            if let Err(why) = written {
                refused.push(format!("{}, the value of `{}`, {why}", one.name, one.path));
            }
        }
        if !refused.is_empty() {
            let format = if let Self::Docker = self { "docker" } else { "env" };
            let message = format!("--format {format} cannot hold every value: {}", refused.join("; "));
            return Err(
                Failure::usage(message).hint("use --format shell, json-flat or json, which hold any text")
            );
        }
        debug_assert!(text.len() <= length, "the buffer has grown");
        Ok(text)
    }
}

/// Single quotes protect everything in every shell but a single quote.
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

/// A value between two lines that no value has.
fn github(one: Variable<'_, '_>, delimiter: &str, to: &mut Zeroizing<Vec<u8>>) {
    for part in [one.name, "<<", delimiter, "\n", one.value, "\n", delimiter, "\n"] {
        to.extend_from_slice(part.as_bytes());
    }
}

fn delimiter() -> Result<String, Failure> {
    let random = u128::from_le_bytes(*input::random::<16>()?);
    Ok(format!("cred_{random:032x}"))
}

/// Commands that hide every line of every value in a log of GitHub Actions.
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
