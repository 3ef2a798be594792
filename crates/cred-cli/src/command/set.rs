//! `cred set`.

use clap::Args;
use cred_core::{CredentialKind, CredentialPath, FieldName, RotationPolicy, Tags, Timestamp};

use crate::app::App;
use crate::failure::Failure;
use crate::input::{self, ValueArgs};
use crate::moment;

/// Stores a value, in the place of the one that may be there
#[derive(Args)]
#[command(after_help = "Examples:
  cred set org:acme/stripe-api-key                       asks for the value
  cred set org:acme/db --kind username-password          asks for both fields
  cred set org:acme/session-key --generate 64
  cred set org:acme/tls --file key.pem --expires 2027-01-31 --tag env=prod
  vault read -field=password db/creds/app | cred set org:acme/db-password

A value that is there already is replaced, with its tags and its history; `cred rotate` keeps them.")]
pub(crate) struct Set {
    /// [SCOPE/]ID
    path: CredentialPath,
    #[command(flatten)]
    value: ValueArgs,
    /// opaque, api-key, token, username-password, key-pair, or a name of your own
    #[arg(long, default_value = "opaque")]
    kind: CredentialKind,
    /// The name of the field that the value goes into
    #[arg(long, value_name = "NAME", conflicts_with = "fields")]
    field: Option<FieldName>,
    /// A label, which is not secret; can be given again
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = input::tag)]
    tags: Vec<(String, String)>,
    /// When it stops being valid: 2027-01-31, or 30d from now
    #[arg(long, value_name = "WHEN", value_parser = moment::expiry)]
    expires: Option<Timestamp>,
    /// When it should be replaced: every:90d, before-expiry:7d, at:2027-01-31, manual
    #[arg(long, value_name = "POLICY")]
    rotation: Option<RotationPolicy>,
}

impl Set {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let mut tags = Tags::new();
        for (key, value) in self.tags {
            tags.insert(key, value)?;
        }
        if let Some(field) = &self.field {
            input::fits(&self.kind, field)?;
        }
        // Before somebody types a value for nothing.
        app.check()?;
        let fields = self.value.read(&self.kind, self.field.as_ref())?;
        let credential = input::credential(&self.kind, fields)?
            .with_tags(tags)
            .with_expires_at(self.expires)
            .with_rotation(self.rotation);
        // After the value, for which a person may take minutes: the keys are those of now.
        let (profile, manager) = app.manager()?;
        let path = self.path;
        app.wait(async {
            let handle = manager.at(&path)?;
            Ok(handle.store(&path.id, credential).await?)
        })?;
        if app.output.json {
            return app
                .output
                .document(&serde_json::json!({"profile": profile.name(), "path": path.to_string()}));
        }
        app.output.say(format!("Stored {path} in {}.", profile));
        Ok(())
    }
}
