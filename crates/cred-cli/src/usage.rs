//! What is said of a command line that is none.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::escape::escaped;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Says what is wrong, as JSON where that was asked for; help and version are printed instead where
/// they are.
pub(crate) fn told(mut error: clap::Error) -> ExitCode {
    // Whoever closed the output does not want to know.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<OsString> =
        std::env::args_os().skip(1).take_while(|argument| argument != "--").collect();
    let special = dashes(&error, &arguments).or_else(|| hidden(&mut error));
    if arguments.iter().any(|argument| argument == "--json") {
        let hint = special.unwrap_or("`cred --help` and `cred COMMAND --help` say what there is");
        let failure = Failure::usage(sentence(&error)).hint(hint);
        Output { json: true, quiet: true }.failure(&failure);
    } else {
        let _ = error.print();
        if let Some(hint) = special {
            Output { json: false, quiet: true }.left(format!("hint: {hint}"));
        }
    }
    Exit::Usage.into()
}

/// Takes out of the message what may be a secret: what was given in a wrong place, unless it looks
/// like a mistyped option or command, or stands where a path or a scope belongs. Says where a value
/// belongs, if there was one too many.
fn hidden(error: &mut clap::Error) -> Option<&'static str> {
    let is_typo =
        |text: &str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let (place, is_shown): (_, &dyn Fn(&str) -> bool) = match error.kind() {
        ErrorKind::UnknownArgument => {
            (ContextKind::InvalidArg, &|text: &str| text.starts_with('-') && is_typo(text))
        }
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, &is_typo),
        _ if is_about_a_path(error) => (ContextKind::InvalidValue, &|text: &str| text.len() <= 200),
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
        "a value is never an argument, where others see it: it is asked for, or comes from stdin or a file",
    )
}

/// Whether the argument that was not taken is the path of a credential, or a scope.
fn is_about_a_path(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(name))
        if ["<PATH>", "[PATH]", "<PATH>...", "[SCOPE]", "--scope <SCOPE>"].contains(&name.as_str()))
}

/// The first paragraph of what clap says, in one line.
fn sentence(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing".to_owned();
    }
    let text = error.render().to_string();
    let said = text.split("\n\n").next().unwrap_or_default();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    said.strip_prefix("error: ").map_or_else(|| said.clone(), str::to_owned)
}

/// What `cred run ./server` lacks.
fn dashes(error: &clap::Error, arguments: &[OsString]) -> Option<&'static str> {
    let runs = arguments.iter().any(|argument| argument == "run")
        && std::env::args_os().all(|argument| argument != "--");
    (runs && error.kind() == ErrorKind::UnknownArgument)
        .then_some("the command stands after `--`, as in `cred run --scope org:acme -- ./server`")
}
