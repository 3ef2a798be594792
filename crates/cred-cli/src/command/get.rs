//! `cred get`.

use clap::Args;
use cred_core::{CredentialPath, FieldName};

use crate::app::App;
use crate::expiry::ExpiryArgs;
use crate::failure::Failure;
use crate::record::CredentialDocument;
use crate::terminal;

/// Print a secret; on a terminal only with --show
#[derive(Args)]
#[command(after_help = "Examples:
  cred get org:acme/stripe-api-key --show
  cred get org:acme/db --field password | wl-copy
  cred get org:acme/db --json > db.json

Writes exactly the bytes of the value to a pipe or a file, without a line end.")]
pub(crate) struct Get {
    /// The credential, as [SCOPE/]ID
    path: CredentialPath,
    /// The field to print, if there are several
    #[arg(long, value_name = "NAME")]
    field: Option<FieldName>,
    /// Allow output to a terminal
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    expiry: ExpiryArgs,
}

impl Get {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let to_terminal = terminal::stdout_is_terminal();
        if to_terminal && !self.show {
            return Err(Failure::usage("refusing to print a secret value to a terminal")
                .hint("pass --show to print it, or redirect stdout to a pipe or a file"));
        }
        let (profile, manager) = app.manager()?;
        let path = self.path;
        let found = app.wait(async {
            let handle = manager.at(&path)?;
            Ok(handle.retrieve(&path.id).await?)
        })?;
        let credential = found.ok_or_else(|| Failure::nothing_at(&path, profile.name()))?;
        self.expiry.check(app.output, &path, &credential)?;
        let names: Vec<&str> = credential.field_names().map(FieldName::as_str).collect();
        let name = match (&self.field, names.as_slice()) {
            (Some(field), _) => field.as_str(),
            (None, _) if app.output.json => {
                return app.output.secret_document(&CredentialDocument::of(&path, &credential)?);
            }
            (None, [only]) => only,
            (None, many) => {
                return Err(Failure::usage(format!(
                    "the credential `{path}` has several fields: {}",
                    many.join(", ")
                ))
                .hint("choose one with --field, or print all with --json"));
            }
        };
        let value = credential.expose_bytes(name).map_err(|_| Failure::no_field(&path, name, &credential))?;
        match (app.output.json, std::str::from_utf8(value)) {
            (true, Ok(text)) => app.output.secret_document(&text),
            (true, Err(_)) => Err(Failure::usage(format!(
                "cannot print the field `{name}` as JSON text, because it is binary"
            ))
            .hint(
                "omit --json to print the bytes, or omit --field to print all fields, binary ones as base64",
            )),
            (false, _) => {
                if to_terminal {
                    app.output.value(value)
                } else {
                    app.output.bytes(value)
                }
            }
        }
    }
}
