//! `cred set`.

use clap::Args;
use cred_core::{CredentialKind, CredentialPath, FieldName, RotationPolicy, Tags, Timestamp};

use crate::app::App;
use crate::failure::Failure;
use crate::input::{self, ValueArgs};
use crate::moment;

/// Store a secret, replacing any existing value
#[derive(Args)]
#[command(after_help = "Examples:
  cred set org:acme/stripe-api-key                # prompts for the value
  cred set org:acme/db --kind username-password   # prompts for both fields
  cred set org:acme/session-key --generate 64
  cred set org:acme/tls --file key.pem --expires 2027-01-31 --tag env=prod
  vault read -field=password db/creds/app | cred set org:acme/db-password

An existing credential is replaced as a whole, with its tags, creation time and version. To keep them, use `cred rotate`.")]
pub(crate) struct Set {
    /// The credential, as [SCOPE/]ID
    path: CredentialPath,
    #[command(flatten)]
    value: ValueArgs,
    /// The kind: opaque, api-key, token, username-password, key-pair, or a custom name
    #[arg(long, default_value = "opaque")]
    kind: CredentialKind,
    /// The field that receives the value
    #[arg(long, value_name = "NAME", conflicts_with = "fields")]
    field: Option<FieldName>,
    /// Add a label, which is not secret; can be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = input::tag)]
    tags: Vec<(String, String)>,
    /// The expiry: a date such as 2027-01-31, or a duration from now such as 30d
    #[arg(long, value_name = "WHEN", value_parser = moment::future_time)]
    expires: Option<Timestamp>,
    /// The rotation policy: every:90d, before-expiry:7d, at:2027-01-31 or manual
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
            input::check_field(&self.kind, field)?;
        }
        // Before the prompt, so that no value is typed in vain.
        app.check_config()?;
        let fields = self.value.read(&self.kind, self.field.as_ref())?;
        let credential = input::credential(&self.kind, fields)?
            .with_tags(tags)
            .with_expires_at(self.expires)
            .with_rotation(self.rotation);
        // Read after the prompt, which may take minutes, so that the keys are current.
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
        app.output.info(format!("Stored {path} in {}.", profile));
        Ok(())
    }
}
