//! `cred run`.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;
use cred_core::{Credential, CredentialPath, FieldName, ScopeId};

use crate::app::App;
use crate::environment::Environment;
use crate::failure::{Exit, Failure};
use crate::variable;

/// Runs a command with credentials in its environment
#[derive(Args)]
#[command(after_help = "Examples:
  cred run --scope org:acme/app:web -- ./server --port 80
  cred run --env DATABASE_URL=org:acme/db-url -- psql
  cred run --env PGPASSWORD=org:acme/db#password -- psql -h db

`stripe-api-key` becomes STRIPE_API_KEY; of a credential with several fields each becomes one, as DB_PASSWORD.
The command takes the place of this process: it gets the signals, and its exit code is the one that is seen. The variables that
cred.toml reads keys and logins from are taken out of its environment.")]
pub(crate) struct Run {
    /// The credentials of this scope, not of those below it
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// One credential, or one field of it, under a name of your own; can be given again. A credential that is named as a
    /// whole is left out of what --scope gives
    #[arg(long = "env", value_name = "NAME=PATH[#FIELD]", value_parser = named)]
    named: Vec<Named>,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone)]
struct Named {
    name: String,
    path: CredentialPath,
    field: Option<String>,
}

fn named(text: &str) -> Result<Named, String> {
    const FORM: &str = "write NAME=PATH, or NAME=PATH#FIELD";
    let (name, place) = text.split_once('=').ok_or(FORM)?;
    if !variable::is_name(name) {
        return Err("a name has letters, digits and _, and does not begin with a digit".to_owned());
    }
    let (path, field) = match place.split_once('#') {
        Some((path, field)) => (path, Some(field.to_owned())),
        None => (place, None),
    };
    let path = path.parse().map_err(|error: cred_core::ParseError| error.to_string())?;
    Ok(Named { name: name.to_owned(), path, field })
}

impl Run {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        if self.scope.is_none() && self.named.is_empty() {
            return Err(Failure::usage("nothing says which credentials the command gets")
                .hint("give --scope SCOPE, or --env NAME=PATH"));
        }
        let (profile, manager) = app.manager()?;
        let wanted = async |path: &CredentialPath| match &path.scope {
            Some(scope) => manager.retrieve_scoped(&path.id, scope).await,
            None => manager.retrieve(&path.id).await,
        };
        let (of_scope, by_name) = app.wait(async {
            let mut of_scope = Vec::new();
            if let Some(scope) = &self.scope {
                let handle = manager.scoped(scope.clone())?;
                let ids = handle.list().await?;
                for (id, found) in ids.iter().zip(handle.retrieve_batch(ids.clone()).await) {
                    let path = CredentialPath::new(Some(scope.clone()), id.clone());
                    of_scope.extend(found?.map(|credential| (path, credential)));
                }
            }
            let mut by_name = Vec::new();
            for named in &self.named {
                let found = wanted(&named.path).await?;
                by_name.push(found.ok_or_else(|| Failure::nothing_at(&named.path, &profile.name))?);
            }
            Ok((of_scope, by_name))
        })?;
        let environment = self.environment(&of_scope, &by_name)?;
        if environment.is_empty() {
            app.output.warn("nothing is stored there, so the command gets nothing");
        }

        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::usage("there is no command to run"));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        app.config()?.variables().iter().for_each(|variable| _ = command.env_remove(variable));
        for one in environment.iter() {
            command.env(one.name, one.value);
        }
        drop(environment);
        drop((of_scope, by_name));
        // Before this process becomes another: a login is given back, a write of the backend's own ends.
        app.close();
        started(command)
    }

    fn environment<'c>(
        &'c self,
        of_scope: &'c [(CredentialPath, Credential)],
        by_name: &'c [Credential],
    ) -> Result<Environment<'c>, Failure> {
        let mut environment = Environment::default();
        // What is named apart as a whole is not there under its own name too.
        let apart = |path: &CredentialPath| {
            self.named.iter().any(|named| named.field.is_none() && named.path == *path)
        };
        for (path, credential) in of_scope.iter().filter(|(path, _)| !apart(path)) {
            environment.add_all(path, credential)?;
        }
        for (Named { name, path, field }, credential) in self.named.iter().zip(by_name) {
            let names: Vec<&str> = credential.field_names().map(FieldName::as_str).collect();
            let field = match (field, names.as_slice()) {
                (Some(field), _) => field.as_str(),
                (None, [only]) => only,
                (None, _) => {
                    return Err(Failure::usage(format!("`{path}` has several fields: {}", names.join(", ")))
                        .hint(format!("choose one: --env {name}={path}#FIELD")));
                }
            };
            environment.add(name.clone(), path, credential, field)?;
        }
        Ok(environment)
    }
}

/// Becomes the command: signals and exit code are its own, with nobody in between who could lose them.
#[cfg(unix)]
fn started(mut command: Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt as _;
    crate::process::unprotect();
    let error = command.exec();
    Err(not_started(&command, error))
}

#[cfg(not(unix))]
fn started(mut command: Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| not_started(&command, error))?;
    std::process::exit(status.code().unwrap_or(1));
}

fn not_started(command: &Command, error: std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::NotFound => Exit::NoSuchCommand,
        _ => Exit::NotExecutable,
    };
    let hint = match exit {
        Exit::NoSuchCommand => "check its name, and the variable PATH where it has no `/`",
        _ => "check that it is a program, and that you may execute it",
    };
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::new(exit, format!("the command `{program}` could not be started")).hint(hint).caused_by(error)
}
