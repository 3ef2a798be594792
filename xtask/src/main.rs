//! Every chore of the workspace, one command each: `cargo xtask --help` lists them.
//!
//! Written in Rust rather than in shell, so that a machine with a Rust toolchain needs nothing else and the
//! rules of the project (`tidy`, `deps`) are tested like any other code. It depends on no crate of ours: it
//! must build while they don't.

mod cache;
mod cargo;
mod ci;
mod deps;
mod docs;
mod features;
mod fire;
mod fuzz;
mod guard;
mod integration;
mod lint;
mod minimal_versions;
mod package;
mod quickstart;
mod semver;
mod servers;
mod soak;
mod table;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::path::PathBuf;
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
    /// Everything that must hold before a change is merged; ends with the tables of steps and tests
    Ci {
        /// A server of the integration tests, or strace, that may be missing; its tests are then skipped and named
        #[arg(long, value_name = "SERVER")]
        allow_missing: Vec<String>,
    },
    /// Unit, integration and doc tests, with a table that names every skipped test
    Test {
        /// The crates to test; all where none is named
        crates: Vec<String>,
    },
    /// The conformance suites and own tests of the backends, against real servers that it finds or builds
    TestIntegration(integration::Options),
    /// Local files under fire, at full size: kills, lost power, injected errors, eight processes; takes minutes
    Fire,
    /// Fuzz targets for every decoder, on a nightly toolchain; ends with a table of executions, coverage and crashes
    Fuzz(fuzz::Options),
    /// The manager under everything at once for an hour: nothing acknowledged is lost, and nothing grows
    Soak(soak::Options),
    /// Check the project's own lints: modules, sizes, names, manifests, commands in the docs, guards
    Tidy,
    /// Check which crates depend on which, how many packages each needs, and each rust-version
    Deps,
    /// The documentation build, warnings denied
    Docs,
    /// Lints each crate without its features and with each one alone
    Features,
    /// Compiles the workspace with the lowest versions of its dependencies that its manifests allow
    MinimalVersions,
    /// Packs and builds every publishable crate as it would be uploaded
    Package,
    /// Compares the public API of what is published with that of the last tag
    Semver,
    /// The tour of the README: the first commands of `cred`, with an .env file and a fresh local store
    Quickstart {
        /// The .env file to import; a sample with fake values where none is given
        env_file: Option<PathBuf>,
    },
    /// Make the real servers of the integration tests, or run a command with them
    #[command(subcommand)]
    Servers(servers::Chore),
    /// Runs a command until it or its chore ends: what xtask puts between itself and what it starts
    #[command(hide = true)]
    Guard(guard::Guard),
    /// Installs the pinned tools that `ci` needs into the cache folder
    Tools,
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
        Chore::Ci { allow_missing } => return ci::run(&allow_missing),
        Chore::Test { crates } => return test::run(&crates),
        Chore::Fire => return fire::run(),
        Chore::Fuzz(options) => return fuzz::run(&options),
        Chore::Soak(options) => return soak::run(&options),
        Chore::TestIntegration(options) => return integration::run(&options),
        Chore::Servers(chore) => return servers::run(&chore),
        Chore::Guard(guard) => return guard::run(&guard),
        Chore::Tidy => tidy::run()?,
        Chore::Deps => deps::run()?,
        Chore::Docs => docs::run()?,
        Chore::Features => features::run()?,
        Chore::MinimalVersions => minimal_versions::run()?,
        Chore::Package => package::run()?,
        Chore::Semver => semver::run()?,
        Chore::Quickstart { env_file } => quickstart::run(env_file)?,
        Chore::Tools => tools::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
