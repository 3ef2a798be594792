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

Variable names: `stripe-api-key` becomes STRIPE_API_KEY. An id with `_` or capitals and no `-`, such as `TF_VAR_db`, keeps its \
name. A credential with several fields becomes one variable per field, such as DB_PASSWORD. --scope rejects names such as PATH \
or LD_PRELOAD, which choose the code that a command runs; pass them with --env.

The command replaces this process: it receives the signals, and its exit code is returned. The variables from which cred.toml \
reads keys and logins are removed from its environment.")]
pub(crate) struct Run {
    /// Pass the credentials of exactly this scope
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// Pass a credential, or one field of it, as the variable NAME; can be repeated. --scope does
    /// not pass a credential again that is given here without a field
    #[arg(long = "env", value_name = "NAME=PATH[#FIELD]", value_parser = parse_named)]
    named: Vec<NamedCredential>,
    /// Run the command even if nothing is stored in the scope
    #[arg(long, requires = "scope")]
    allow_empty: bool,
    /// Fail if a value of the scope cannot be a variable, instead of skipping it with a warning
    #[arg(long)]
    strict: bool,
    /// Skip values that cannot be variables, and list them without a warning
    #[arg(long, conflicts_with = "strict")]
    skip_unusable: bool,
    /// Keep existing variables of the environment, instead of replacing them
    #[arg(long)]
    keep_existing: bool,
    /// Keep only PATH, HOME, USER, LOGNAME, SHELL, TERM, TZ, TMPDIR, LANG, LANGUAGE and LC_* of the
    /// environment
    #[arg(long, conflicts_with = "keep_existing")]
    clean_env: bool,
    #[command(flatten)]
    expiry: ExpiryArgs,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The value of `--env`.
#[derive(Clone)]
struct NamedCredential {
    name: String,
    path: CredentialPath,
    field: Option<String>,
}

fn parse_named(text: &str) -> Result<NamedCredential, String> {
    const FORM: &str = "write NAME=PATH, or NAME=PATH#FIELD";
    let (name, place) = text.split_once('=').ok_or(FORM)?;
    if !variable::is_name(name) {
        return Err("a variable name has letters, digits and `_`, and does not start with a digit".to_owned());
    }
    let (path, field) = match place.split_once('#') {
        Some((path, field)) => (path, Some(field.to_owned())),
        None => (place, None),
    };
    let path = path.parse().map_err(|error: cred_core::ParseError| error.to_string())?;
    Ok(NamedCredential { name: name.to_owned(), path, field })
}

impl Run {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        if self.scope.is_none() && self.named.is_empty() {
            return Err(Failure::usage("no credentials are selected for the command")
                .hint("pass --scope SCOPE, or --env NAME=PATH"));
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
        // Before the command replaces this process: close logins, and complete writes of the
        // backend.
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
        // A credential given with --env without a field is not passed again under its own name.
        let is_named = |path: &CredentialPath| {
            self.named.iter().any(|named| named.field.is_none() && named.path == *path)
        };
        let mut unusable = |failure: Failure| match self.strict {
            true => Err(failure),
            false => {
                match self.skip_unusable {
                    true => app.output.info(format!("Skipped: {failure}.")),
                    false => app.output.warn(format!("skipped: {failure}")),
                }
                Ok(())
            }
        };
        for (path, credential) in of_scope.iter().filter(|(path, _)| !is_named(path)) {
            self.expiry.check(app.output, path, credential)?;
            environment.add_all(path, credential, &mut unusable)?;
        }
        if let Some(one) = environment.iter().find(|one| variable::can_choose_code(one.name)) {
            let (name, path) = (one.name, one.path);
            return Err(Failure::usage(format!(
                "the credential `{path}` would become the variable {name}, which can choose the code that the command runs"
            ))
            .hint(format!(
                "if you want that, pass --env {name}={path}; otherwise give the variable another name with --env"
            )));
        }
        for (NamedCredential { name, path, field }, credential) in self.named.iter().zip(by_name) {
            self.expiry.check(app.output, path, credential)?;
            let names: Vec<&str> = credential.field_names().map(FieldName::as_str).collect();
            let field = match (field, names.as_slice()) {
                (Some(field), _) => field.as_str(),
                (None, [only]) => only,
                (None, _) => {
                    return Err(Failure::usage(format!(
                        "the credential `{path}` has several fields: {}",
                        names.join(", ")
                    ))
                    .hint(format!("choose one with --env {name}={path}#FIELD")));
                }
            };
            environment.add(name.clone(), path, credential, field)?;
        }
        Ok(environment)
    }
}

fn nothing_in(scope: &ScopeId, profile: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("no credential is stored in the scope `{scope}` in profile `{profile}`"))
        .hint("`cred list` shows the scopes; --scope does not include the scopes below it; pass --allow-empty to run the command anyway")
}
