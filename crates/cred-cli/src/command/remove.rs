//! `cred rm`.

use clap::Args;
use cred_core::CredentialPath;

use crate::app::App;
use crate::each::Change;
use crate::failure::Failure;

/// Delete credentials
#[derive(Args)]
#[command(after_help = "Examples:
  cred rm org:acme/stripe-api-key
  cred rm --yes org:acme/a org:acme/b

Whether a deleted credential can be recovered depends on the backend: see `cred recover --help`.")]
pub(crate) struct Remove {
    /// The credentials, each as [SCOPE/]ID
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<CredentialPath>,
    /// Do not ask for confirmation
    #[arg(long, short = 'y')]
    yes: bool,
}

const DELETE: Change = Change { verb: "delete", done: "deleted", place: "from" };

impl Remove {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let provider = app.provider(&profile)?;
        DELETE.confirm(self.yes, &self.paths, &profile, "")?;
        DELETE.run(app, &profile, self.paths, async |path| {
            let ctx = path.scope.clone().into();
            if !provider.exists(&path.id, &ctx).await? {
                return Err(Failure::nothing_at(path, profile.name()));
            }
            Ok(provider.delete(&path.id, &ctx).await?)
        })
    }
}
