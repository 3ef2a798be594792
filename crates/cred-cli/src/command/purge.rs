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

A credential that is not deleted is refused: delete it with `cred rm` first. Purging one that was purged before is no \
error.")]
pub(crate) struct Purge {
    /// [SCOPE/]ID
    #[arg(required = true, value_name = "PATH")]
    deleted: Vec<CredentialPath>,
    /// Ask nothing
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
            // It would change nothing, and the report would say otherwise.
            if provider.exists(&path.id, &ctx).await? {
                return Err(Failure::usage(format!("`{path}` is stored and not deleted; it was not purged"))
                    .hint(format!("`cred rm {path}` deletes it")));
            }
            Ok(deleted.purge(&path.id, &ctx).await?)
        })
    }
}
