//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::app::App;
use crate::command::{
    completions, diff, doctor, export, get, import, init, key, list, migrate, purge, recover, rekey, remove,
    rotate, run, set, trust, validate,
};
use crate::failure::Failure;

/// Manage sealed credentials, per tenant, in a backend that you already run
#[derive(Parser)]
#[command(name = "cred", version, arg_required_else_help = true, after_help = FIRST_STEPS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const FIRST_STEPS: &str = "First steps:
  cred init                               # creates a key, a store and cred.toml
  cred set org:acme/stripe-api-key        # prompts for the value
  cred run --scope org:acme -- ./server   # sets STRIPE_API_KEY for ./server

Credentials are named [SCOPE/]ID. The README of cred-cli describes cred.toml and the exit codes.";

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Use this profile of cred.toml [env: CRED_PROFILE]
    #[arg(long, short = 'p', global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Use only this configuration file [env: CRED_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON: the result on stdout, errors and warnings on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only results, warnings, errors, and work left undone
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Set(set::Set),
    Get(get::Get),
    List(list::List),
    Rm(remove::Remove),
    Recover(recover::Recover),
    Purge(purge::Purge),
    Rotate(rotate::Rotate),
    Import(import::Import),
    Export(export::Export),
    Run(run::Run),
    Validate(validate::Validate),
    Rekey(rekey::Rekey),
    #[command(subcommand)]
    Key(key::Key),
    Migrate(migrate::Migrate),
    Diff(diff::Diff),
    Trust(trust::Trust),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    CompletePaths(completions::CompletePaths),
}

impl Command {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Init(init) => init.run(app),
            Self::Set(set) => set.run(app),
            Self::Get(get) => get.run(app),
            Self::List(list) => list.run(app),
            Self::Rm(remove) => remove.run(app),
            Self::Recover(recover) => recover.run(app),
            Self::Purge(purge) => purge.run(app),
            Self::Rotate(rotate) => rotate.run(app),
            Self::Import(import) => import.run(app),
            Self::Export(export) => export.run(app),
            Self::Run(run) => run.run(app),
            Self::Validate(validate) => validate.run(app),
            Self::Rekey(rekey) => rekey.run(app),
            Self::Key(key) => key.run(app),
            Self::Migrate(migrate) => migrate.run(app),
            Self::Diff(diff) => diff.run(app),
            Self::Trust(trust) => trust.run(app),
            Self::Doctor(doctor) => doctor.run(app),
            Self::Completions(completions) => completions.run(app),
            Self::CompletePaths(complete) => complete.run(app),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            if command.has_subcommands() {
                command.get_subcommands().for_each(check);
                return;
            }
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no examples", command.get_name());
        }
        Cli::command().get_subcommands().for_each(check);
    }
}
