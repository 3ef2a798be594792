//! `cred get`.

use clap::Args;
use cred_core::{CredentialPath, FieldName};

use crate::app::App;
use crate::expiry::ExpiryArgs;
use crate::failure::Failure;
use crate::record::Shown;
use crate::terminal;

/// Prints a value; on a terminal only with --show
#[derive(Args)]
#[command(after_help = "Examples:
  cred get org:acme/stripe-api-key --show
  cred get org:acme/db --field password | wl-copy
  cred get org:acme/db --json > db.json

To a pipe or a file exactly the bytes of the value are written, without a line end.")]
pub(crate) struct Get {
    /// [SCOPE/]ID
    path: CredentialPath,
    /// The field to print, where there are several
    #[arg(long, value_name = "NAME")]
    field: Option<FieldName>,
    /// Prints it where it can be seen
    #[arg(long)]
    show: bool,
    #[command(flatten)]
    expiry: ExpiryArgs,
}

impl Get {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let to_terminal = terminal::stdout_is_one();
        if to_terminal && !self.show {
            return Err(Failure::usage("a value is not printed to a terminal by itself")
                .hint("say --show, or send it to a pipe or a file"));
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
                return app.output.secret_document(&Shown::of(&path, &credential)?);
            }
            (None, [only]) => only,
            (None, many) => {
                return Err(Failure::usage(format!("`{path}` has several fields: {}", many.join(", ")))
                    .hint("choose one with --field, or take all with --json"));
            }
        };
        let value = credential.expose_bytes(name).map_err(|_| Failure::no_field(&path, name, &credential))?;
        match (app.output.json, std::str::from_utf8(value)) {
            (true, Ok(text)) => app.output.secret_document(&text),
            (true, Err(_)) => Err(Failure::usage(format!("the field `{name}` is not text"))
                .hint("--json without --field has it in base64")),
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
