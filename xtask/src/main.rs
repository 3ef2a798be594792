//! Every chore of the workspace, one command each: `cargo xtask --help` lists them.
//!
//! Written in Rust rather than in shell, so that a machine with a Rust toolchain needs nothing else
//! and the rules of the project (`tidy`, `deps`) are tested like any other code. It depends on no
//! crate of ours: it must build while they don't.

mod cache;
mod cargo;
mod checks;
mod ci;
mod deps;
mod flaky;
mod fuzz;
mod guard;
mod integration;
mod long;
mod model;
mod quickstart;
mod servers;
mod site;
mod table;
mod test;
mod tidy;
mod tools;
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
    /// Check everything that must hold before a merge; ends with tables of steps and tests
    Ci {
        /// A server, `strace` or `advisory-db` that may be missing: tests that need it are skipped
        /// and listed
        #[arg(long, value_name = "NAME")]
        allow_missing: Vec<String>,
    },
    /// Run unit, integration and doc tests; ends with a table that names every skipped test
    Test {
        /// The crates to test; all, and the example service, if none is named
        crates: Vec<String>,
    },
    /// Test the backends against real servers, which it finds, installs or builds
    TestIntegration(integration::Options),
    /// Run the tests again and again on a busy machine, to find those that fail by chance
    Flaky(flaky::Options),
    /// Test local files under kills, errors, lost power and eight processes, at full size
    Fire,
    /// Fuzz every decoder, on a nightly toolchain; ends with a table of executions and failures
    Fuzz(fuzz::Options),
    /// Run the manager's model at full size, then check that it fails on every known defect
    ///
    /// A mutant is a copy of the manager with one defect, of those that the file mutants.toml lists
    /// beside the model. It is built below the target folder, from the files that git tracks.
    Model(model::Options),
    /// Run the manager under load and faults for an hour: it loses nothing, and nothing grows
    Soak(long::SoakOptions),
    /// Check the project's own lints: modules, sizes, names, manifests, commands in the docs,
    /// guards
    Tidy,
    /// Count the words that docs/style.md advises against, here or in another folder
    Prose {
        /// The folder to measure, such as the source of another crate; default: this project
        folder: Option<std::path::PathBuf>,
    },
    /// Check which crates depend on which, how many packages each needs, and each rust-version
    Deps,
    /// Build the documentation, with warnings denied
    Docs,
    /// Build the documentation site with mdBook in the target folder, and check its links
    Site,
    /// Lint each published crate without its features and with each one alone
    Features,
    /// Compile the last commit with the lowest versions of dependencies that the manifests allow
    MinimalVersions,
    /// Pack every published crate, and build each from its archive
    Package,
    /// Compare the public API of the published crates with that of the last tag
    Semver,
    /// Look for vulnerable, unmaintained and yanked packages in every lock file
    Advisories {
        /// Check only the dependencies of the published crates
        #[arg(long)]
        published: bool,
    },
    /// Run the first commands of `cred` with a sample and a new store, as in the README
    Quickstart,
    /// Build the real servers of the integration tests, or run a command with them
    #[command(subcommand)]
    Servers(servers::Chore),
    /// Run a command until it or its chore ends: xtask starts every program through this
    #[command(hide = true)]
    Guard(guard::Guard),
    /// Install the pinned tools that `ci` needs into the cache folder
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

/// Chores whose last lines are a summary return their exit code, so that nothing is printed after
/// it.
fn run(chore: Chore) -> anyhow::Result<ExitCode> {
    match chore {
        Chore::Ci { allow_missing } => return ci::run(&allow_missing),
        Chore::Test { crates } => return test::run(&crates),
        Chore::Flaky(options) => return flaky::run(&options),
        Chore::Fuzz(options) => return fuzz::run(&options),
        Chore::Model(options) => return model::run(&options),
        Chore::TestIntegration(options) => return integration::run(&options),
        Chore::Servers(chore) => return servers::run(&chore),
        Chore::Guard(guard) => return guard::run(&guard),
        Chore::Fire => long::fire()?,
        Chore::Soak(options) => long::soak(&options)?,
        Chore::Tidy => tidy::run()?,
        Chore::Prose { folder } => tidy::measure(&folder.unwrap_or_else(workspace::root))?,
        Chore::Deps => deps::run()?,
        Chore::Docs => checks::docs()?,
        Chore::Site => site::run()?,
        Chore::Features => checks::features()?,
        Chore::MinimalVersions => checks::minimal_versions()?,
        Chore::Package => checks::package(true)?,
        Chore::Semver => checks::semver()?,
        Chore::Advisories { published } => {
            anyhow::ensure!(checks::advisories(!published)?, "the advisory database cannot be read");
        }
        Chore::Quickstart => quickstart::run()?,
        Chore::Tools => tools::run()?,
    }
    Ok(ExitCode::SUCCESS)
}
