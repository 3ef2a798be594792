//! `cred purge`.

use clap::Args;
use cred_core::CredentialPath;

use super::recover::recovery;
use crate::app::App;
use crate::each::Change;
use crate::failure::Failure;

/// Remove deleted credentials permanently; needs no key
#[derive(Args)]
#[command(after_help = "Examples:
  cred rm org:acme/stripe-api-key && cred purge org:acme/stripe-api-key
  cred purge --yes org:acme/a org:acme/b

A credential that is not deleted is rejected: delete it with `cred rm` first. Purging a credential that was purged \
before succeeds.")]
pub(crate) struct Purge {
    /// The credentials, each as [SCOPE/]ID
    #[arg(required = true, value_name = "PATH")]
    deleted: Vec<CredentialPath>,
    /// Do not ask for confirmation
    #[arg(long, short = 'y')]
    yes: bool,
}

const PURGE: Change = Change { verb: "purge", done: "purged", place: "from" };

impl Purge {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let provider = app.provider(&profile)?;
        let deleted = recovery(&*provider, &profile)?;
        PURGE.confirm(self.yes, &self.deleted, &profile, ", which cannot be undone")?;
        PURGE.run(app, &profile, self.deleted, async |path| {
            let ctx = path.scope.clone().into();
            // A purge would change nothing, but would be reported as done.
            if provider.exists(&path.id, &ctx).await? {
                return Err(Failure::usage(format!(
                    "the credential `{path}` is not deleted, so it was not purged"
                ))
                .hint(format!("delete it first, with `cred rm {path}`")));
            }
            Ok(deleted.purge(&path.id, &ctx).await?)
        })
    }
}
