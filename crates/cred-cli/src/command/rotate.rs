//! `cred rotate`.

use clap::Args;
use cred_core::{CredentialPath, FieldName, Timestamp};

use crate::app::App;
use crate::failure::Failure;
use crate::input::ValueArgs;
use crate::moment;

/// Replace the value of a credential
#[derive(Args)]
#[command(after_help = "Examples:
  cred rotate org:acme/stripe-api-key
  cred rotate org:acme/session-key --generate 64
  cred rotate org:acme/db --field password --expires 90d

Kind, tags, rotation policy and creation time stay the same, and the version goes up.")]
pub(crate) struct Rotate {
    /// The credential, as [SCOPE/]ID
    path: CredentialPath,
    #[command(flatten)]
    value: ValueArgs,
    /// The field to replace, if there are several; the others stay
    #[arg(long, value_name = "NAME", conflicts_with = "fields")]
    field: Option<FieldName>,
    /// The new expiry: a date such as 2027-01-31, or a duration from now such as 30d; default:
    /// unchanged
    #[arg(long, value_name = "WHEN", value_parser = moment::future_time)]
    expires: Option<Timestamp>,
}

impl Rotate {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let (profile, manager) = app.manager()?;
        let path = self.path;
        let handle = manager.at(&path)?;
        let retrieve = || {
            let found = app.wait(async { Ok(handle.retrieve(&path.id).await?) })?;
            found.ok_or_else(|| Failure::nothing_at(&path, profile.name()))
        };
        let before = retrieve()?;
        let only = match (&self.field, before.field_names().collect::<Vec<_>>().as_slice()) {
            (Some(field), _) => Some(field.clone()),
            (None, [only]) => Some((*only).clone()),
            (None, _) => None,
        };
        let has_field = |name: &FieldName| before.field_names().any(|field| field == name);
        if let Some(field) = self.field.as_ref().filter(|field| !has_field(field)) {
            return Err(Failure::no_field(&path, field.as_str(), &before));
        }
        let fields = self.value.read(before.kind(), only.as_ref())?;
        if let Some((field, _)) = fields.iter().find(|(field, _)| !has_field(field)) {
            return Err(Failure::no_field(&path, field.as_str(), &before));
        }
        // Read again: a prompt may have taken minutes, and concurrent changes must stay.
        let before = retrieve()?;
        let expires_at = self.expires.or(before.expires_at());
        let rotated =
            fields.into_iter().fold(before, |rotated, (name, value)| rotated.with_field(name, value));
        let rotated = rotated.with_expires_at(expires_at);
        let lifecycle = app.wait(async { Ok(handle.rotate(&path.id, rotated).await?) })?;
        if app.output.json {
            app.output.document(&serde_json::json!({
                "profile": profile.name(), "path": path.to_string(), "version": lifecycle.version,
            }))?;
        }
        app.output.info(format!("Rotated {path} in {}: version {}.", profile, lifecycle.version));
        if expires_at.is_some_and(|expiry| expiry <= Timestamp::now()) {
            app.output
                .warn("the credential keeps its expiry, which is in the past; set a new one with --expires");
        }
        Ok(())
    }
}
