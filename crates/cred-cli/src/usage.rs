//! What is said of a command line that is none.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Says what is wrong, as JSON where that was asked for; help and version are printed instead where they are.
pub(crate) fn told(error: &clap::Error) -> ExitCode {
    // Whoever closed the output does not want to know.
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<OsString> =
        std::env::args_os().skip(1).take_while(|argument| argument != "--").collect();
    let dashes = dashes(error, &arguments);
    if arguments.iter().any(|argument| argument == "--json") {
        let hint = dashes.unwrap_or("`cred --help` and `cred COMMAND --help` say what there is");
        let failure = Failure::usage(sentence(error)).hint(hint);
        Output { json: true, quiet: true }.failure(&failure);
    } else {
        let _ = error.print();
        if let Some(hint) = dashes {
            Output { json: false, quiet: true }.left(format!("hint: {hint}"));
        }
    }
    Exit::Usage.into()
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
