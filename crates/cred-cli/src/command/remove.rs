//! `cred rm`.

use clap::Args;
use cred_core::CredentialPath;

use crate::app::App;
use crate::failure::Failure;
use crate::output::credentials;
use crate::terminal;

/// Deletes credentials
#[derive(Args)]
#[command(after_help = "Examples:
  cred rm org:acme/stripe-api-key
  cred rm --yes org:acme/a org:acme/b

Whether something deleted can be recovered depends on the backend.")]
pub(crate) struct Remove {
    /// [SCOPE/]ID
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<CredentialPath>,
    /// Asks nothing
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Remove {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let provider = app.provider(&profile)?;
        if !self.yes {
            if !terminal::stdin_is_one() {
                return Err(Failure::usage("nobody is there to be asked").hint("say --yes"));
            }
            let what = match self.paths.as_slice() {
                [only] => only.to_string(),
                many => credentials(many.len()),
            };
            if !terminal::confirmed(&format!("Delete {what} from {}?", profile))? {
                return Err(Failure::usage("nothing was deleted"));
            }
        }
        let count = self.paths.len();
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for path in self.paths {
            let ctx = path.scope.clone().into();
            let result = app.wait(async {
                if !provider.exists(&path.id, &ctx).await? {
                    return Err(Failure::nothing_at(&path, profile.name()));
                }
                Ok(provider.delete(&path.id, &ctx).await?)
            });
            match result {
                Ok(()) => {
                    app.output.say(format!("Deleted {path} from {}.", profile));
                    deleted.push(path.to_string());
                }
                Err(failure) if failure.is_signal() => return Err(failure),
                Err(failure) => failures.push((path, failure)),
            }
        }
        if app.output.json {
            let failed: Vec<_> = failures.iter().map(|(path, _)| path.to_string()).collect();
            app.output.document(&serde_json::json!({
                "profile": profile.name(), "deleted": deleted, "failed": failed,
            }))?;
        }
        let failed = failures.len();
        match (failed, count, failures.pop()) {
            (1, 1, Some((_, failure))) => Err(failure),
            (_, _, Some(last)) => {
                failures.push(last);
                Err(Failure::partial(
                    format!("could not delete {failed} of {}", credentials(count)),
                    failures,
                ))
            }
            (_, _, None) => Ok(()),
        }
    }
}
