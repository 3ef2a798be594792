//! `cred trust`.

use std::path::PathBuf;

use clap::Args;

use crate::app::App;
use crate::config::{effects, file, trust};
use crate::failure::Failure;
use crate::output;

/// Trust the cred.toml of a project
///
/// A project's cred.toml decides where your secrets go and which files, variables and programs are
/// used. It counts only after you trusted it, and only until its contents change.
#[derive(Args)]
#[command(after_help = "Examples:
  cred trust
  cred trust --list
  cred trust --revoke path/to/cred.toml

In CI, set CRED_TRUST to the SHA-256 of the file, as `sha256sum cred.toml` prints it.")]
pub(crate) struct Trust {
    /// The file; default: the cred.toml of this folder, or the nearest one above
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// List the trusted files
    #[arg(long, conflicts_with_all = ["file", "revoke"])]
    list: bool,
    /// Stop trusting the file, which may be gone
    #[arg(long)]
    revoke: bool,
}

impl Trust {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        if self.list {
            return list(app);
        }
        let path = match self.file {
            Some(path) => path,
            None => file::project_file()?.ok_or_else(|| {
                Failure::config("there is no cred.toml in this folder or above it")
                    .hint("`cred init` makes one, and trusts it")
            })?,
        };
        if self.revoke {
            let was_trusted = trust::revoke(&path)?;
            let state = if was_trusted { "No longer trusting" } else { "Nothing to revoke:" };
            if app.output.json {
                return app.output.document(&serde_json::json!({"file": path, "revoked": was_trusted}));
            }
            app.output.say(format!("{state} {}.", path.display()));
            return Ok(());
        }
        let file = file::ConfigFile::of_project(path)?;
        trust::record(&file.path, file.text())?;
        let effects = effects::of(&file);
        if app.output.json {
            let hash = trust::hash(file.text());
            return app
                .output
                .document(&serde_json::json!({"file": file.path, "sha256": hash, "effects": effects}));
        }
        app.output.say(format!("Trusted {}, until its contents change:", file.path.display()));
        effects.iter().for_each(|line| app.output.say(format!("  {line}")));
        Ok(())
    }
}

fn list(app: &App) -> Result<(), Failure> {
    let record = trust::TrustRecord::read()?;
    if app.output.json {
        let entry = |(path, hash)| serde_json::json!({"file": path, "sha256": hash});
        return app.output.document(&record.entries().map(entry).collect::<Vec<_>>());
    }
    let rows: Vec<_> = record.entries().map(|(path, hash)| vec![path.to_owned(), hash.to_owned()]).collect();
    match rows.is_empty() {
        true => app.output.say("No file is trusted."),
        false => app.output.result(&output::table(&["file", "SHA-256 of its contents"], &rows))?,
    }
    Ok(())
}
