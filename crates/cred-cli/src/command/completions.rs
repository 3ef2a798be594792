//! `cred completions`, and `cred complete-paths`, which the completions call.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use clap::{Arg, Args, Command, CommandFactory as _};
use clap_complete::Shell;
use cred_core::{CredentialPath, ScopeId};

use super::{list, recover};
use crate::app::App;
use crate::cli::Cli;
use crate::failure::Failure;

/// Print shell completions
#[derive(Args)]
#[command(after_help = "Example:
  mkdir -p ~/.local/share/bash-completion/completions
  cred completions bash > ~/.local/share/bash-completion/completions/cred

The completions for bash, zsh and fish also complete stored paths.")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cred", &mut script);
        let script = String::from_utf8_lossy(&script);
        let script = match self.shell {
            Shell::Bash => bash(&script),
            Shell::Zsh => zsh(&script),
            Shell::Fish => script.into_owned() + &filled(include_str!("completions/stored.fish"), " "),
            _ => script.into_owned(),
        };
        app.output.bytes(script.as_bytes())
    }
}

/// Wraps the generated function for bash in one that completes stored paths.
fn bash(script: &str) -> String {
    let ours = filled(include_str!("completions/stored.bash"), "|");
    let script = script.replacen("_cred() {", "_cred_static() {", 1);
    // The generator also offers hidden commands.
    let script = script.replace(" complete-paths ", " ");
    match script.find("\nif [[ \"${BASH_VERSINFO[0]}\" -eq 4") {
        Some(at) => {
            let (generated, registration) = script.split_at(at);
            format!("{generated}{ours}{registration}")
        }
        None => script + &ours,
    }
}

/// Gives arguments that are paths or scopes their own completion action.
fn zsh(script: &str) -> String {
    let ours = include_str!("completions/stored.zsh");
    let mut text = String::with_capacity(script.len() + ours.len());
    for line in script.lines() {
        if line == "_cred() {" {
            text += ours;
        }
        let action = match line {
            _ if line.contains("::deleted -- ") => "_cred_deleted'",
            _ if line.contains("SCOPE/\\]ID:_default'") => "_cred_paths'",
            _ if line.starts_with("'::scope -- ") || line.contains(":SCOPE:_default'") => "_cred_scopes'",
            _ if line.starts_with("'*--env=") => "_cred_named'",
            _ => "_default'",
        };
        text += &line.replacen("_default'", action, 1);
        text.push('\n');
    }
    text
}

/// Inserts the names of commands and options into a script template.
fn filled(script: &str, separator: &str) -> String {
    let cli = Cli::command();
    let with = |wanted: &dyn Fn(&Arg) -> bool| {
        let commands = cli.get_subcommands().filter(|command| command.get_arguments().any(wanted));
        commands.map(Command::get_name).collect::<Vec<_>>()
    };
    let paths = with(&|arg| arg.is_positional() && matches!(arg.get_id().as_str(), "path" | "paths"));
    let deleted = with(&|arg| arg.is_positional() && arg.get_id() == "deleted");
    let scopes = with(&|arg| arg.is_positional() && arg.get_id() == "scope");
    let scoped = with(&|arg| !arg.is_positional() && arg.get_id() == "scope");
    let commands: BTreeSet<_> = [&paths[..], &deleted, &scopes, &scoped].concat().into_iter().collect();
    let every = cli.get_subcommands().chain([&cli]).flat_map(Command::get_arguments);
    let valued: BTreeSet<String> = every
        .filter(|arg| !arg.is_positional() && arg.get_action().takes_values())
        .flat_map(|arg| {
            let short = arg.get_short().map(|short| format!("-{short}"));
            short.into_iter().chain(arg.get_long().map(|long| format!("--{long}")))
        })
        .collect();
    script
        .replace("@PATHS@", &paths.join(separator))
        .replace("@DELETED@", &deleted.join(separator))
        .replace("@SCOPES@", &scopes.join(separator))
        .replace("@SCOPED@", &scoped.join(separator))
        .replace("@COMMANDS@", &commands.into_iter().collect::<Vec<_>>().join(separator))
        .replace("@VALUED@", &valued.into_iter().collect::<Vec<_>>().join(separator))
}

/// Print the stored paths with a prefix, for completions; never prompts, and prints no errors
#[derive(Args)]
#[command(
    hide = true,
    after_help = "Example:
  cred complete-paths org:acme/str"
)]
pub(crate) struct CompletePaths {
    /// Print scopes instead
    #[arg(long)]
    scopes: bool,
    /// Print the deleted credentials that can be recovered instead
    #[arg(long)]
    deleted: bool,
    /// The start of the paths
    #[arg(default_value = "")]
    prefix: String,
}

/// Maximum time that a key press waits for a backend.
const LIMIT: Duration = Duration::from_millis(1_800);

impl CompletePaths {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        // Not a timeout around the request, because opening and closing a backend also take time.
        thread::spawn(|| {
            thread::sleep(LIMIT);
            std::process::exit(0);
        });
        // An error would be printed into the line that the user is typing.
        let _ = self.print(app);
        Ok(())
    }

    fn print(&self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let provider = app.provider(&profile)?;
        let scope = self.prefix.rsplit_once('/').and_then(|(scope, _)| scope.parse::<ScopeId>().ok());
        let ctx = scope.into();
        let paths = match self.deleted {
            true => list::deleted(app, recover::recovery(&*provider, &profile)?, &ctx)?,
            false => app.wait(async { Ok(provider.list_tree(None, &ctx).await?) })?,
        };
        let found: BTreeSet<String> = match self.scopes {
            true => paths.iter().flat_map(scopes).collect(),
            false => paths.iter().map(ToString::to_string).collect(),
        };
        let lines: String =
            found.into_iter().filter(|one| one.starts_with(&self.prefix)).map(|one| one + "\n").collect();
        app.output.bytes(lines.as_bytes())
    }
}

/// The scope of a path, and the scopes above it.
fn scopes(path: &CredentialPath) -> Vec<String> {
    let Some(scope) = &path.scope else { return Vec::new() };
    let mut above = String::new();
    let parts = scope.parts().map(|(level, value)| {
        if !above.is_empty() {
            above.push('/');
        }
        above += &format!("{level}:{value}");
        above.clone()
    });
    parts.collect()
}
