//! `cred export`.

mod format;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use cred_core::{Credential, CredentialPath, ScopeId, Zeroizing};
use serde::Serialize;

use self::format::{Format, Lines};
use crate::app::App;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::credentials;
use crate::record::CredentialDocument;
use crate::{terminal, variable};

/// Print the decrypted credentials of a scope, as JSON or as variables
#[derive(Args)]
#[command(after_help = "Examples:
  cred export --scope org:acme --output backup.json
  cred export --scope org:acme/app:web --format env --show
  eval \"$(cred export --scope org:acme/app:web --format shell)\"
  cred export --scope org:acme/ci --format gha --output \"$GITHUB_ENV\"

The output is not sealed. JSON contains the scope and the scopes below it. The other formats contain exactly the scope, with \
the variable names of `cred run`; a value that a format cannot represent is an error. Credentials that cannot be opened are \
skipped and listed, and the exit code is 10. To move sealed credentials, use `cred migrate`.")]
pub(crate) struct Export {
    /// Only this scope; with json, also the scopes below it
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// The output format
    #[arg(long, default_value = "json")]
    format: Format,
    /// Write to a new file, readable only by its owner, instead of stdout (`-`); with gha, the file
    /// may exist
    #[arg(long, short = 'o', value_name = "FILE")]
    output: Option<PathBuf>,
    /// Allow output to a terminal
    #[arg(long)]
    show: bool,
}

impl Export {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        if self.format == Format::Gha && self.file().is_none() {
            return Err(Failure::usage(
                "--format gha needs --output: stdout receives only the commands that mask the values",
            )
            .hint("pass --output \"$GITHUB_ENV\""));
        }
        let is_printed = self.file().is_none() || self.format == Format::Gha;
        if is_printed && terminal::stdout_is_terminal() && !self.show {
            return Err(Failure::usage("refusing to print secret values to a terminal")
                .hint("pass --show to print them, or --output to write them to a file"));
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
            progress.set_total(paths.len());
            let (mut opened, mut failures) = (Vec::with_capacity(paths.len()), Vec::new());
            for path in paths {
                let found = handle.at(&path)?.retrieve(&path.id).await;
                match found {
                    Ok(Some(credential)) => opened.push((path, credential)),
                    // Deleted since it was listed.
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
            app.output.info(format!("Exported {}; the output is not sealed.", credentials(count)));
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::partial(
                format!(
                    "could not export {failed} of {}; the output is incomplete",
                    credentials(count + failed)
                ),
                failures,
            )),
        }
    }

    /// The output file; `None` is stdout.
    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| path.as_os_str() != "-")
    }

    fn write(&self, app: &App, opened: &[(CredentialPath, Credential)]) -> Result<(), Failure> {
        let mut environment = Environment::default();
        if self.format != Format::Json {
            for (path, credential) in opened {
                environment.add_all(path, credential, &mut Err)?;
            }
        }
        if matches!(self.format, Format::Shell | Format::Gha) {
            // These formats take effect before a user can look at them.
            if let Some(one) = environment.iter().find(|one| variable::can_choose_code(one.name)) {
                let (name, path) = (one.name, one.path);
                return Err(Failure::usage(format!(
                    "the credential `{path}` would become the variable {name}, which can choose the code that programs run"
                ))
                .hint("move it to another scope, or use another format and check the output before you use it"));
            }
        }
        // Before the file is created, so that a failure leaves no file.
        let content = match self.format {
            Format::Json => Content::Records(
                opened
                    .iter()
                    .map(|(path, credential)| CredentialDocument::of(path, credential))
                    .collect::<Result<_, _>>()?,
            ),
            Format::JsonFlat => Content::Flat(environment.iter().map(|one| (one.name, one.value)).collect()),
            Format::Env => Content::Lines(Lines::Env.of(&environment)?),
            Format::Shell => Content::Lines(Lines::Shell.of(&environment)?),
            Format::Docker => Content::Lines(Lines::Docker.of(&environment)?),
            Format::Gha => Content::Lines(Lines::Gha.of(&environment)?),
        };
        let Some(path) = self.file() else {
            return match content {
                Content::Records(records) => app.output.secret_document(&records),
                Content::Flat(values) => app.output.secret_document(&values),
                Content::Lines(lines) => app.output.bytes(&lines),
            };
        };
        let failed = |error| Failure::file("write", path, error);
        if self.format == Format::Gha {
            // First, so that the log masks the values from here on.
            app.output.bytes(&format::masks(&environment))?;
            return open_for_append(path).and_then(|mut file| content.write(&mut file)).map_err(failed);
        }
        let mut file = create(path).map_err(failed)?;
        if let Err(error) = content.write(&mut file) {
            // An incomplete file is useless, and would make the next attempt fail.
            let _ = std::fs::remove_file(path);
            return Err(failed(error));
        }
        Ok(())
    }
}

/// The output, ready to write.
enum Content<'a> {
    Records(Vec<CredentialDocument<'a>>),
    Flat(BTreeMap<&'a str, &'a str>),
    Lines(Zeroizing<Vec<u8>>),
}

impl Content<'_> {
    fn write(&self, file: &mut File) -> io::Result<()> {
        match self {
            Self::Records(records) => json(records, file)?,
            Self::Flat(values) => json(values, file)?,
            Self::Lines(lines) => file.write_all(lines)?,
        }
        file.sync_all()
    }
}

fn json(value: &impl Serialize, file: &mut File) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *file, value)?;
    file.write_all(b"\n")
}

/// Creates a file that only its owner can read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file to which other steps of a workflow may have written, and starts a new line.
fn open_for_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if file.metadata()?.len() > 0 {
        // The last line of another step may lack a line end; GitHub ignores an empty line.
        file.write_all(b"\n")?;
    }
    Ok(file)
}
