//! `cred rotate`.

use clap::Args;
use cred_core::{CredentialPath, FieldName, Timestamp};

use crate::app::App;
use crate::failure::Failure;
use crate::input::ValueArgs;
use crate::moment;

/// Replaces a value by a fresh one; kind, tags, policy and creation time stay, the version goes up
#[derive(Args)]
#[command(after_help = "Examples:
  cred rotate org:acme/stripe-api-key
  cred rotate org:acme/session-key --generate 64
  cred rotate org:acme/db --field password --expires 90d")]
pub(crate) struct Rotate {
    /// [SCOPE/]ID
    path: CredentialPath,
    #[command(flatten)]
    value: ValueArgs,
    /// The field to replace, where there are several; the others stay
    #[arg(long, value_name = "NAME", conflicts_with = "fields")]
    field: Option<FieldName>,
    /// When the new value stops being valid: 2027-01-31, or 30d from now; without it, as before
    #[arg(long, value_name = "WHEN", value_parser = moment::expiry)]
    expires: Option<Timestamp>,
}

impl Rotate {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let (profile, manager) = app.manager()?;
        let path = self.path;
        let handle = manager.at(&path)?;
        let stored = || {
            let found = app.wait(async { Ok(handle.retrieve(&path.id).await?) })?;
            found.ok_or_else(|| Failure::nothing_at(&path, profile.name()))
        };
        let before = stored()?;
        let only = match (&self.field, before.field_names().collect::<Vec<_>>().as_slice()) {
            (Some(field), _) => Some(field.clone()),
            (None, [only]) => Some((*only).clone()),
            (None, _) => None,
        };
        let known = |name: &FieldName| before.field_names().any(|field| field == name);
        if let Some(field) = self.field.as_ref().filter(|field| !known(field)) {
            return Err(Failure::no_field(&path, field.as_str(), &before));
        }
        let fields = self.value.read(before.kind(), only.as_ref())?;
        if let Some((field, _)) = fields.iter().find(|(field, _)| !known(field)) {
            return Err(Failure::no_field(&path, field.as_str(), &before));
        }
        // Minutes may have passed at a prompt: what others have changed meanwhile stays.
        let before = stored()?;
        let expires_at = self.expires.or(before.expires_at());
        let fresh = fields.into_iter().fold(before, |fresh, (name, value)| fresh.with_field(name, value));
        let fresh = fresh.with_expires_at(expires_at);
        let lifecycle = app.wait(async { Ok(handle.rotate(&path.id, fresh).await?) })?;
        if app.output.json {
            app.output.document(&serde_json::json!({
                "profile": profile.name(), "path": path.to_string(), "version": lifecycle.version,
            }))?;
        }
        app.output.say(format!("Rotated {path} in {}: version {}.", profile, lifecycle.version));
        if expires_at.is_some_and(|expiry| expiry <= Timestamp::now()) {
            app.output.warn("its expiry, which was kept, is over; give a new one with --expires");
        }
        Ok(())
    }
}
