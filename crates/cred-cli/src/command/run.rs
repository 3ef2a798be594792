//! `cred run`.

mod process;

use std::ffi::OsString;

use clap::Args;
use cred_core::{Credential, CredentialPath, FieldName, ScopeId};

use self::process::{Existing, Process};
use crate::app::App;
use crate::environment::Environment;
use crate::expiry::ExpiryArgs;
use crate::failure::{Exit, Failure};
use crate::variable;

/// Run a command with credentials in its environment
#[derive(Args)]
#[command(after_help = "Examples:
  cred run --scope org:acme/app:web -- ./server --port 80
  cred run --env DATABASE_URL=org:acme/db-url -- psql
  cred run --env PGPASSWORD=org:acme/db#password -- psql -h db

`stripe-api-key` becomes STRIPE_API_KEY; `TF_VAR_db` and other ids with `_` or capitals keep their name. Of a credential with
several fields each becomes one, as DB_PASSWORD. Names such as PATH or LD_PRELOAD, which choose the code that a command runs, are
refused from --scope; --env gives them. The command takes the place of this process: it gets the signals, and its exit code is the
one that is seen. The variables that cred.toml reads keys and logins from are taken out of its environment.")]
pub(crate) struct Run {
    /// The credentials of this scope, not of those below it
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// One credential, or one field of it, under a name of your own; can be given again. A
    /// credential that is named as a whole is left out of what --scope gives
    #[arg(long = "env", value_name = "NAME=PATH[#FIELD]", value_parser = named)]
    named: Vec<Named>,
    /// Run the command even if nothing is stored in the scope
    #[arg(long, requires = "scope")]
    allow_empty: bool,
    /// Fail if a value of the scope cannot be a variable, instead of leaving it out with a warning
    #[arg(long)]
    strict: bool,
    /// Leave out what cannot be a variable, named but without a warning
    #[arg(long, conflicts_with = "strict")]
    skip_unusable: bool,
    /// Keep a variable that the environment has already, instead of replacing it
    #[arg(long)]
    keep_existing: bool,
    /// Start with PATH, HOME, USER, LOGNAME, SHELL, TERM, TZ, TMPDIR, LANG, LANGUAGE and LC_* alone
    #[arg(long, conflicts_with = "keep_existing")]
    clean_env: bool,
    #[command(flatten)]
    expiry: ExpiryArgs,
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
        let wanted = async |path: &CredentialPath| manager.at(path)?.retrieve(&path.id).await;
        let (of_scope, by_name) = app.wait(async {
            let mut of_scope = Vec::new();
            if let Some(scope) = &self.scope {
                let handle = manager.scoped(scope.clone())?;
                let ids = handle.list().await?;
                if ids.is_empty() && !self.allow_empty {
                    return Err(nothing_in(scope, profile.name()));
                }
                for item in handle.retrieve_batch(&ids).await {
                    let path = CredentialPath::new(Some(scope.clone()), item.id);
                    of_scope.extend(item.result?.map(|credential| (path, credential)));
                }
            }
            let mut by_name = Vec::new();
            for named in &self.named {
                let found = wanted(&named.path).await?;
                by_name.push(found.ok_or_else(|| Failure::nothing_at(&named.path, profile.name()))?);
            }
            Ok((of_scope, by_name))
        })?;
        let environment = self.environment(app, &of_scope, &by_name)?;
        let existing = match (self.keep_existing, self.clean_env) {
            (true, _) => Existing::Kept,
            (_, true) => Existing::Cleaned,
            _ => Existing::Replaced,
        };
        let process = Process::new(&self.command, &environment, existing, &app.config()?.variables())?;
        drop(environment);
        drop((of_scope, by_name));
        // Before this process becomes another: a login is given back, a write of the backend's own
        // ends.
        app.close();
        process.start()
    }

    fn environment<'c>(
        &'c self,
        app: &App,
        of_scope: &'c [(CredentialPath, Credential)],
        by_name: &'c [Credential],
    ) -> Result<Environment<'c>, Failure> {
        let mut environment = Environment::default();
        // What is named apart as a whole is not there under its own name too.
        let apart = |path: &CredentialPath| {
            self.named.iter().any(|named| named.field.is_none() && named.path == *path)
        };
        let mut unusable = |failure: Failure| match self.strict {
            true => Err(failure),
            false => {
                match self.skip_unusable {
                    true => app.output.say(format!("Left out: {failure}.")),
                    false => app.output.warn(format!("left out: {failure}")),
                }
                Ok(())
            }
        };
        for (path, credential) in of_scope.iter().filter(|(path, _)| !apart(path)) {
            self.expiry.check(app.output, path, credential)?;
            environment.add_all(path, credential, &mut unusable)?;
        }
        if let Some(one) = environment.iter().find(|one| variable::takes_over(one.name)) {
            let (name, path) = (one.name, one.path);
            return Err(Failure::usage(format!(
                "`{path}` would become {name}, which can choose the code that the command runs"
            ))
            .hint(format!(
                "if that is what you want, pass --env {name}={path}; else give it another name with --env"
            )));
        }
        for (Named { name, path, field }, credential) in self.named.iter().zip(by_name) {
            self.expiry.check(app.output, path, credential)?;
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

fn nothing_in(scope: &ScopeId, profile: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("nothing is stored in the scope `{scope}` in profile `{profile}`"))
        .hint("`cred list` shows the scopes, of which each is given without those below it; --allow-empty runs the command anyway")
}
