//! `cred completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::app::App;
use crate::cli::Cli;
use crate::failure::Failure;

/// Prints completions for a shell
#[derive(Args)]
#[command(after_help = "Example:
  cred completions bash > ~/.local/share/bash-completion/completions/cred")]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cred", &mut script);
        app.output.bytes(&script)
    }
}
