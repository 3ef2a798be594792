//! `cred` reads, migrates and repairs sealed credentials. The README is the specification.

mod app;
mod blocking;
mod cli;
mod command;
mod compare;
mod config;
mod docker;
mod dotenv;
mod each;
mod environment;
mod escape;
mod expiry;
mod failure;
mod input;
mod moment;
mod output;
#[cfg(unix)]
mod process;
mod record;
mod signals;
mod terminal;
mod usage;
mod variable;

use std::process::ExitCode;

use clap::Parser as _;

use crate::app::App;
use crate::cli::Cli;

fn main() -> ExitCode {
    let Cli { global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(error),
    };
    let app = App::new(global);
    let result = app.init_logging().and_then(|()| command.run(&app));
    app.close();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            app.output.failure(&failure);
            failure.exit.into()
        }
    }
}
