//! Errors in the command line.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::escape::escaped;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Prints an error of the command line, as JSON with `--json`. Prints help and version if `error`
/// stands for them.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::BrokenPipe.into(),
            _ => ExitCode::SUCCESS,
        };
    }
    let arguments: Vec<OsString> =
        std::env::args_os().skip(1).take_while(|argument| argument != "--").collect();
    let special = missing_dashes(&error, &arguments).or_else(|| redact(&mut error));
    if arguments.iter().any(|argument| argument == "--json") {
        let hint = special.unwrap_or("see `cred --help` and `cred COMMAND --help`");
        let failure = Failure::usage(first_paragraph(&error)).hint(hint);
        Output { json: true, quiet: true }.failure(&failure);
    } else {
        let _ = error.print();
        if let Some(hint) = special {
            Output { json: false, quiet: true }.undone(format!("hint: {hint}"));
        }
    }
    Exit::Usage.into()
}

/// Redacts an argument that may be a secret: one in a wrong place, unless it looks like a mistyped
/// option or command, and the value of an option that can hold a secret by mistake. Returns a hint
/// for an extra argument: how to pass a value.
fn redact(error: &mut clap::Error) -> Option<&'static str> {
    let is_typo =
        |text: &str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let is_number = |text: &str| text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => name.as_str(),
        _ => "",
    };
    let (place, is_shown): (_, &dyn Fn(&str) -> bool) = match error.kind() {
        ErrorKind::UnknownArgument => {
            (ContextKind::InvalidArg, &|text: &str| text.starts_with('-') && is_typo(text))
        }
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, &is_typo),
        _ if NOT_SECRET.contains(&argument) => (ContextKind::InvalidValue, &|text: &str| text.len() <= 200),
        _ if argument == LENGTH => (ContextKind::InvalidValue, &is_number),
        _ => (ContextKind::InvalidValue, &|_: &str| false),
    };
    match error.get(place) {
        Some(ContextValue::String(text)) if !is_shown(text) => {}
        Some(ContextValue::String(text)) => {
            let shown = escaped(text).into_owned();
            error.insert(place, ContextValue::String(shown));
            return None;
        }
        _ => return None,
    }
    error.insert(place, ContextValue::String("(not shown)".to_owned()));
    error.remove(ContextKind::Suggested);
    (error.kind() == ErrorKind::UnknownArgument).then_some(
        "a value is never an argument, because other users can see arguments: `cred set` and `cred rotate` prompt for it, or read it from stdin or from --file",
    )
}

/// Arguments whose values are not secret, as clap names them. Not among them: `--env`, `--field`,
/// `--kind`, `--tag` and the id of `key add`, where a value or a key is easily given by mistake.
const NOT_SECRET: [&str; 12] = [
    "<PATH>",
    "[PATH]",
    "<PATH>...",
    "[SCOPE]",
    "--scope <SCOPE>",
    "<SHELL>",
    "--created-after <WHEN>",
    "--created-before <WHEN>",
    "--expires <WHEN>",
    "--format <FORMAT>",
    "--rotation <POLICY>",
    "--warn <TIME>",
];

/// Its value is shown if it is a number.
const LENGTH: &str = "--generate [<LENGTH>]";

/// The first paragraph of the message of clap, in one line.
fn first_paragraph(error: &clap::Error) -> String {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return "no command was given".to_owned();
    }
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").map_or_else(|| line.clone(), str::to_owned)
}

/// A hint for `cred run ./server`, which lacks `--`.
fn missing_dashes(error: &clap::Error, arguments: &[OsString]) -> Option<&'static str> {
    let runs = arguments.iter().any(|argument| argument == "run")
        && std::env::args_os().all(|argument| argument != "--");
    (runs && error.kind() == ErrorKind::UnknownArgument)
        .then_some("put the command after `--`, as in `cred run --scope org:acme -- ./server`")
}
