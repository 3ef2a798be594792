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
use crate::record::Named;
use crate::{docker, input, record, variable};

/// A file of many credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A .env file; a line that sh, node, npm's dotenv and python-dotenv read differently is
    /// refused
    Env,
    /// NAME=value without quotes, as docker run --env-file reads it
    Docker,
    /// What `cred export` prints, or one object of names and values, {"NAME": "value"}
    Json,
}

/// Store the credentials of a .env file or a JSON file
#[derive(Args)]
#[command(after_help = "Examples:
  cred import .env --scope org:acme/app:web
  cred import backup.json --dry-run
  ssh old-host cat .env | cred import - --format env --scope org:acme

What is there already is left alone and named, unless --replace. A variable of a .env file that is empty is left out and named:
it means that there is none. Delete the file afterwards: it is not sealed.")]
pub(crate) struct Import {
    /// The file; `-` is stdin
    file: PathBuf,
    /// The scope of credentials that have a name alone; without it they belong to none
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// Default: by the name, .json or else .env
    #[arg(long)]
    format: Option<Format>,
    /// Replaces what is there
    #[arg(long)]
    replace: bool,
    /// Says what would be stored, and stores nothing
    #[arg(long)]
    dry_run: bool,
}

/// What a file has.
#[derive(Default)]
struct Given {
    credentials: Vec<(CredentialPath, Credential)>,
    /// Variables without a value, by the paths that they would have.
    empty: Vec<CredentialPath>,
    /// Names that are other variables when they come out again.
    renamed: Vec<String>,
}

/// What became of one credential.
enum Done {
    Stored(CredentialPath),
    There(CredentialPath),
    Failed(CredentialPath, Failure),
}

impl Import {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        // Before the file is opened: an untrusted project ends it.
        app.config()?;
        let Given { credentials: given, empty, renamed } = self.read()?;
        let empty: Vec<_> = empty.iter().map(ToString::to_string).collect();
        let (profile, manager) = app.manager()?;
        let count = given.len();
        let progress = app.output.progress("importing", count);
        let (replace, dry_run) = (self.replace, self.dry_run);
        // A dry run stores nothing, and looks whether something is there.
        let looked_at = match dry_run && !replace {
            true => Some(app.provider(&profile)?),
            false => None,
        };
        let store = |(path, credential): (CredentialPath, Credential)| {
            let (manager, looked_at, progress) = (&manager, &looked_at, &progress);
            async move {
                let work = async {
                    let handle = manager.at(&path)?;
                    match looked_at {
                        // What cannot be read is left alone as well, so it is not opened here
                        // either.
                        Some(provider) => Ok(!provider.exists(&path.id, &path.scope.clone().into()).await?),
                        None if dry_run => Ok(true),
                        None if replace => Ok(handle.store(&path.id, credential).await.map(|()| true)?),
                        None => Ok(handle.store_if_absent(&path.id, credential).await?),
                    }
                };
                let done = match work.await {
                    Ok(true) => Done::Stored(path),
                    Ok(false) => Done::There(path),
                    Err::<_, Failure>(error) => Done::Failed(path, error),
                };
                progress.step();
                done
            }
        };
        let done: Vec<Done> = app.wait(async {
            Ok(futures_util::stream::iter(given.into_iter().map(store)).buffered(8).collect().await)
        })?;
        drop(progress);

        let (mut stored, mut there, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for one in done {
            match one {
                Done::Stored(path) => stored.push(path.to_string()),
                Done::There(path) => there.push(path.to_string()),
                Done::Failed(path, failure) => failed.push((path, failure)),
            }
        }
        if app.output.json {
            let failed: Vec<_> = failed.iter().map(|(path, _)| path.to_string()).collect();
            app.output.document(&serde_json::json!({
                "dry_run": dry_run, "stored": stored, "left_alone": there, "failed": failed, "empty": empty,
                "renamed": renamed,
            }))?;
        } else {
            let verb = if dry_run { "Would store" } else { "Stored" };
            app.output.say(format!("{verb} {} of {} in {}.", stored.len(), credentials(count), profile));
            if !empty.is_empty() {
                app.output.warn(format!("what is empty in the file was left out: {}", empty.join(", ")));
            }
            if !renamed.is_empty() {
                app.output.warn(format!(
                    "names in lower case without `_` become capitals in `cred run` and `cred export`: {}",
                    renamed.join(", ")
                ));
            }
            for path in &there {
                app.output.left(format!("{path} is there already; --replace replaces it"));
            }
        }
        match there.len() + failed.len() {
            0 => Ok(()),
            left => {
                Err(Failure::partial(format!("could not store {left} of {}", credentials(count)), failed))
            }
        }
    }

    fn read(&self) -> Result<Given, Failure> {
        let bytes = match self.file.as_os_str() == "-" {
            true => input::stdin()?,
            false => {
                let failed = |error| Failure::file("read", &self.file, error);
                input::all(File::open(&self.file).map_err(failed)?).map_err(failed)?
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
                    return Err(Failure::usage("these credentials have paths of their own")
                        .hint("leave --scope out; it is for files of names and values"));
                }
                None => Given { credentials: record::read(&bytes)?, ..Given::default() },
            },
        };
        let mut paths: Vec<_> = given.credentials.iter().map(|(path, _)| path).chain(&given.empty).collect();
        paths.sort_unstable();
        if let Some([twice, _]) = paths.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(
                Failure::usage(format!("`{twice}` is in the file twice")).hint("keep the one that is right")
            );
        }
        Ok(given)
    }

    fn variables(&self, assignments: Vec<Assignment>) -> Result<Given, Failure> {
        let mut given = Given::default();
        for Assignment { line, name, value } in assignments {
            given.add(self.path(&name, || format!("line {line}"))?, input::secret(value.as_bytes()))?;
        }
        Ok(given)
    }

    fn values(&self, values: Named) -> Result<Given, Failure> {
        let mut given = Given::default();
        for (number, (name, value)) in values.into_iter().enumerate() {
            given.add(self.path(&name, || format!("entry {} of the object", number + 1))?, value)?;
        }
        Ok(given)
    }

    fn path(&self, name: &str, place: impl Fn() -> String) -> Result<CredentialPath, Failure> {
        let id = name.parse().map_err(|error: cred_core::ParseError| {
            Failure::usage(format!("the name in {} cannot be an id", place())).caused_by(error)
        })?;
        Ok(CredentialPath::new(self.scope.clone(), id))
    }
}

impl Given {
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
