//! Every chore of the workspace, one command each: `cargo xtask --help` lists them.
//!
//! Written in Rust rather than in shell, so that a machine with a Rust toolchain needs nothing else and the
//! rules of the project (`tidy`, `deps`) are tested like any other code. It depends on no crate of ours: it
//! must build while they don't.

mod cargo;
mod docs;
mod package;
mod table;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Every chore of the cred workspace, one command each")]
pub(crate) struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Unit, integration and doc tests, with a table that names every skipped test
    Test {
        /// The crates to test; all where none is named
        crates: Vec<String>,
    },
    /// The documentation build, warnings denied
    Docs,
    /// Packs and builds every publishable crate as it would be uploaded
    Package,
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Chores whose last lines are a summary give their exit code themselves, so that nothing is printed after it.
fn run(chore: Chore) -> anyhow::Result<ExitCode> {
    match chore {
        Chore::Test { crates } => return test::run(&crates),
        Chore::Docs => docs::run()?,
        Chore::Package => package::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
