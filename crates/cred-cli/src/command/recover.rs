//! `cred recover`.

use clap::Args;
use cred_config::model::Profile;
use cred_core::{CredentialPath, SoftDelete, StorageProvider};

use crate::app::App;
use crate::each::Change;
use crate::failure::{Exit, Failure};

/// Recover deleted credentials; needs no key
#[derive(Args)]
#[command(after_help = "Examples:
  cred list --deleted org:acme
  cred recover org:acme/stripe-api-key

Azure always keeps deleted credentials, AWS keeps them for `recovery_window_days`, and Vault keeps them with \
`delete_mode = \"soft\"`. On other backends, a deletion is permanent.")]
pub(crate) struct Recover {
    /// The credentials, each as [SCOPE/]ID
    #[arg(required = true, value_name = "PATH")]
    deleted: Vec<CredentialPath>,
}

const RECOVER: Change = Change { verb: "recover", done: "recovered", place: "in" };

impl Recover {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let provider = app.provider(&profile)?;
        let deleted = recovery(&*provider, &profile)?;
        RECOVER.run(app, &profile, self.deleted, async |path| {
            match deleted.recover(&path.id, &path.scope.clone().into()).await {
                Err(error) if error.is_not_found() => Err(nothing_to_recover(path, &profile)),
                result => Ok(result?),
            }
        })
    }
}

/// The recovery interface of the backend of a profile, if it keeps deleted credentials.
pub(super) fn recovery<'a>(
    provider: &'a dyn StorageProvider,
    profile: &Profile<'_>,
) -> Result<&'a dyn SoftDelete, Failure> {
    provider.soft_delete().ok_or_else(|| {
        let name = profile.name();
        Failure::new(Exit::Failed, format!("the backend of profile `{name}` does not keep deleted credentials"))
            .hint(
                "vault keeps them with `delete_mode = \"soft\"`, aws with `recovery_window_days`, and azure always; a setting \
                 applies only to later deletions",
            )
    })
}

fn nothing_to_recover(path: &CredentialPath, profile: &Profile<'_>) -> Failure {
    let message =
        format!("no deleted credential can be recovered under `{path}` in profile `{}`", profile.name());
    let list = match &path.scope {
        Some(scope) => format!("`cred list --deleted {scope}`"),
        None => "`cred list --deleted`".to_owned(),
    };
    Failure::new(Exit::NotFound, message)
        .hint(format!("{list} shows the credentials that can be recovered; paths are case-sensitive"))
}
