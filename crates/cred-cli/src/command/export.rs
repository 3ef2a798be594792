//! `cred export`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use cred_core::{Credential, CredentialPath, ScopeId, Zeroizing};

use super::import::Format;
use crate::app::App;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::record::Shown;
use crate::{dotenv, terminal};

/// Prints all credentials of a scope, opened, as JSON or .env
#[derive(Args)]
#[command(after_help = "Examples:
  cred export --scope org:acme --output backup.json
  cred export --scope org:acme/app:web --format env --show

The output is not sealed. JSON has the scope and all below it; .env the scope itself, with names as `cred run` makes them.
What cannot be opened is left out and named, and the exit code is 10. To move sealed credentials, use `cred migrate`.")]
pub(crate) struct Export {
    /// Only this scope
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    #[arg(long, default_value = "json")]
    format: Format,
    /// A new file, readable by its owner alone; without it, stdout
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Prints it where it can be seen
    #[arg(long)]
    show: bool,
}

impl Export {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        if self.output.is_none() && terminal::stdout_is_one() && !self.show {
            return Err(Failure::usage("values are not printed to a terminal by themselves")
                .hint("say --show, or name a file with --output"));
        }
        let (_, manager) = app.manager()?;
        let handle = match &self.scope {
            Some(scope) => manager.scoped(scope.clone())?,
            None => manager,
        };
        let progress = app.output.progress("exporting", 0);
        let deep = self.format == Format::Json;
        let (opened, failures) = app.wait(async {
            let mut paths = handle.list_tree().await?;
            paths.retain(|path| deep || path.scope == self.scope);
            progress.of(paths.len());
            let (mut opened, mut failures) = (Vec::with_capacity(paths.len()), Vec::new());
            for path in paths {
                let found = match &path.scope {
                    Some(scope) => handle.retrieve_scoped(&path.id, scope).await,
                    None => handle.retrieve(&path.id).await,
                };
                match found {
                    Ok(Some(credential)) => opened.push((path, credential)),
                    // One that is gone since it was listed is gone.
                    Ok(None) => {}
                    Err(error) => match Failure::from(error) {
                        failure if failure.is_outage() => return Err(failure),
                        failure => failures.push((path, failure)),
                    },
                }
                progress.step();
            }
            Ok((opened, failures))
        })?;
        drop(progress);
        let (count, failed) = (opened.len(), failures.len());
        if count > 0 || failed == 0 {
            self.write(app, &opened)?;
            app.output.say(format!("Exported {count} credentials; what was written is not sealed."));
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::partial(
                format!(
                    "{failed} of {} credentials could not be exported, so what was written is not all",
                    count + failed
                ),
                failures,
            )),
        }
    }

    fn write(&self, app: &App, opened: &[(CredentialPath, Credential)]) -> Result<(), Failure> {
        let Some(path) = &self.output else {
            return match self.format {
                Format::Json => app.output.document(&shown(opened)?),
                Format::Env => app.output.bytes(&env(opened)?),
            };
        };
        // Before there is a file, which would stand in the way of the next try.
        let (records, text) = match self.format {
            Format::Json => (shown(opened)?, Zeroizing::default()),
            Format::Env => (Vec::new(), env(opened)?),
        };
        let failed = |error| Failure::file("write", path, error);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        let written = match self.format {
            Format::Json => serde_json::to_writer_pretty(&mut file, &records).map_err(io::Error::from),
            Format::Env => file.write_all(&text),
        };
        if let Err(error) = written.and_then(|()| file.sync_all()) {
            // Half of it is of no use, and stands in the way of the next try.
            let _ = std::fs::remove_file(path);
            return Err(failed(error));
        }
        Ok(())
    }
}

fn shown(opened: &[(CredentialPath, Credential)]) -> Result<Vec<Shown<'_>>, Failure> {
    opened.iter().map(|(path, credential)| Shown::of(path, credential)).collect()
}

fn env(opened: &[(CredentialPath, Credential)]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut environment = Environment::default();
    for (path, credential) in opened {
        environment.add_all(path, credential)?;
    }
    let length = environment.iter().map(|(name, value)| dotenv::len(name, value)).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    for (name, value) in environment.iter() {
        dotenv::write(name, value, &mut text);
    }
    Ok(text)
}
