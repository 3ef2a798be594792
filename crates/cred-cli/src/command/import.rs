//! `cred import`.

use std::fs::File;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use cred_core::{Credential, CredentialKind, CredentialPath, ExposeSecret as _, ScopeId, SecretSlice, field};
use futures_util::StreamExt as _;

use crate::app::App;
use crate::dotenv::{self, Assignment};
use crate::failure::Failure;
use crate::output::credentials;
use crate::record::NamedValues;
use crate::{docker, input, record, variable};

/// The format of an import file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A .env file; lines that sh, node, npm's dotenv and python-dotenv read differently are
    /// rejected
    Env,
    /// NAME=value without quotes, as docker run --env-file reads it
    Docker,
    /// The JSON of `cred export`, or one object, {"NAME": "value"}
    Json,
}

/// Store the credentials of a .env file or a JSON file
#[derive(Args)]
#[command(after_help = "Examples:
  cred import .env --scope org:acme/app:web
  cred import backup.json --dry-run
  ssh old-host cat .env | cred import - --format env --scope org:acme

Existing credentials are left unchanged and listed, unless --replace is given. Empty variables of a .env file are skipped and \
listed. Delete the file afterwards: it is not sealed.")]
pub(crate) struct Import {
    /// The file; `-` is stdin
    file: PathBuf,
    /// The scope for names of a .env file or a JSON object; default: no scope
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// The format; default: json if the name ends in .json, otherwise env
    #[arg(long)]
    format: Option<Format>,
    /// Replace existing credentials
    #[arg(long)]
    replace: bool,
    /// Show what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,
}

/// The contents of an import file.
#[derive(Default)]
struct Contents {
    credentials: Vec<(CredentialPath, Credential)>,
    /// The paths of variables without a value.
    empty: Vec<CredentialPath>,
    /// Names that become other variable names in `cred run` and `cred export`.
    renamed: Vec<String>,
}

/// The outcome for one credential.
enum Outcome {
    Stored(CredentialPath),
    AlreadyExists(CredentialPath),
    Failed(CredentialPath, Failure),
}

impl Import {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        // Before the file is opened, because the project may be untrusted.
        app.config()?;
        let Contents { credentials: given, empty, renamed } = self.read()?;
        let empty: Vec<_> = empty.iter().map(ToString::to_string).collect();
        let (profile, manager) = app.manager()?;
        let count = given.len();
        let progress = app.output.progress("importing", count);
        let (replace, dry_run) = (self.replace, self.dry_run);
        // A dry run stores nothing, and only checks whether the credential exists.
        let checked = match dry_run && !replace {
            true => Some(app.provider(&profile)?),
            false => None,
        };
        let store = |(path, credential): (CredentialPath, Credential)| {
            let (manager, checked, progress) = (&manager, &checked, &progress);
            async move {
                let work = async {
                    let handle = manager.at(&path)?;
                    match checked {
                        // An unreadable credential is also left unchanged, so `exists` is enough.
                        Some(provider) => Ok(!provider.exists(&path.id, &path.scope.clone().into()).await?),
                        None if dry_run => Ok(true),
                        None if replace => Ok(handle.store(&path.id, credential).await.map(|()| true)?),
                        None => Ok(handle.store_if_absent(&path.id, credential).await?),
                    }
                };
                let outcome = match work.await {
                    Ok(true) => Outcome::Stored(path),
                    Ok(false) => Outcome::AlreadyExists(path),
                    Err::<_, Failure>(error) => Outcome::Failed(path, error),
                };
                progress.step();
                outcome
            }
        };
        let outcomes: Vec<Outcome> = app.wait(async {
            Ok(futures_util::stream::iter(given.into_iter().map(store)).buffered(8).collect().await)
        })?;
        drop(progress);

        let (mut stored, mut existing, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Outcome::Stored(path) => stored.push(path.to_string()),
                Outcome::AlreadyExists(path) => existing.push(path.to_string()),
                Outcome::Failed(path, failure) => failed.push((path, failure)),
            }
        }
        if app.output.json {
            let failed: Vec<_> = failed.iter().map(|(path, _)| path.to_string()).collect();
            app.output.document(&serde_json::json!({
                "dry_run": dry_run, "stored": stored, "left_alone": existing, "failed": failed, "empty": empty,
                "renamed": renamed,
            }))?;
        } else {
            let verb = if dry_run { "Would store" } else { "Stored" };
            app.output.info(format!("{verb} {} of {} in {}.", stored.len(), credentials(count), profile));
            if !empty.is_empty() {
                app.output.warn(format!("skipped because the value is empty: {}", empty.join(", ")));
            }
            if !renamed.is_empty() {
                app.output.warn(format!(
                    "in `cred run` and `cred export`, these names become upper case: {}",
                    renamed.join(", ")
                ));
            }
            for path in &existing {
                app.output.undone(format!("{path} already exists; pass --replace to replace it"));
            }
        }
        match existing.len() + failed.len() {
            0 => Ok(()),
            left => Err(Failure::partial(format!("not stored: {left} of {}", credentials(count)), failed)),
        }
    }

    fn read(&self) -> Result<Contents, Failure> {
        let bytes = match self.file.as_os_str() == "-" {
            true => input::stdin()?,
            false => {
                let failed = |error| Failure::file("read", &self.file, error);
                input::read_all(File::open(&self.file).map_err(failed)?).map_err(failed)?
            }
        };
        let by_name = match self.file.extension().is_some_and(|extension| extension == "json") {
            true => Format::Json,
            false => Format::Env,
        };
        let given = match self.format.unwrap_or(by_name) {
            Format::Env => self.variables(dotenv::read(&bytes)?)?,
            Format::Docker => self.variables(docker::read(&bytes)?)?,
            Format::Json => match record::flat(&bytes)? {
                Some(values) => self.values(values)?,
                None if self.scope.is_some() => {
                    return Err(Failure::usage(
                        "--scope cannot be used with this file: its credentials already have full paths",
                    )
                    .hint("omit --scope"));
                }
                None => Contents { credentials: record::read(&bytes)?, ..Contents::default() },
            },
        };
        let mut paths: Vec<_> = given.credentials.iter().map(|(path, _)| path).chain(&given.empty).collect();
        paths.sort_unstable();
        if let Some([duplicate, _]) = paths.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(Failure::usage(format!("the file contains `{duplicate}` twice"))
                .hint("remove the entry that is wrong"));
        }
        Ok(given)
    }

    fn variables(&self, assignments: Vec<Assignment>) -> Result<Contents, Failure> {
        let mut contents = Contents::default();
        for Assignment { line, name, value } in assignments {
            contents.add(self.path(&name, || format!("line {line}"))?, input::secret(value.as_bytes()))?;
        }
        Ok(contents)
    }

    fn values(&self, values: NamedValues) -> Result<Contents, Failure> {
        let mut contents = Contents::default();
        for (number, (name, value)) in values.into_iter().enumerate() {
            contents.add(self.path(&name, || format!("entry {} of the object", number + 1))?, value)?;
        }
        Ok(contents)
    }

    fn path(&self, name: &str, place: impl Fn() -> String) -> Result<CredentialPath, Failure> {
        let id = name.parse().map_err(|error: cred_core::ParseError| {
            Failure::usage(format!("the name in {} is not a valid credential id", place())).caused_by(error)
        })?;
        Ok(CredentialPath::new(self.scope.clone(), id))
    }
}

impl Contents {
    fn add(&mut self, path: CredentialPath, value: SecretSlice<u8>) -> Result<(), Failure> {
        let id = path.id.as_str();
        if variable::is_name(id) && variable::of_id(&path.id).as_deref() != Some(id) {
            self.renamed.push(id.to_owned());
        }
        match value.expose_secret().is_empty() {
            true => self.empty.push(path),
            false => {
                let fields = vec![(field::VALUE.parse()?, value)];
                self.credentials.push((path, input::credential(&CredentialKind::Opaque, fields)?));
            }
        }
        Ok(())
    }
}
