//! `cred trust`.

use std::path::PathBuf;

use clap::Args;

use crate::app::App;
use crate::config::{effects, file, trust};
use crate::failure::Failure;
use crate::output;

/// Trust the cred.toml of a project
///
/// The cred.toml of a project decides where your secrets go, and which files, variables and
/// programs are used. It is used only after you trust it, and only until it, or a file in its
/// folder that it names, changes.
#[derive(Args)]
#[command(after_help = "Examples:
  cred trust
  cred trust --sha256 \"$EXPECTED_HASH\"
  cred trust --list
  cred trust --revoke path/to/cred.toml

In CI, set CRED_TRUST to the hash that `cred trust` prints. It is the hash of `sha256sum cred.toml`, and a second one after a \
colon if the file names files in its folder.")]
pub(crate) struct Trust {
    /// The file; default: cred.toml in this folder or the nearest folder above it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// List the trusted files
    #[arg(long, conflicts_with_all = ["file", "revoke"])]
    list: bool,
    /// Stop trusting the file, which may no longer exist
    #[arg(long)]
    revoke: bool,
    /// Trust the file only if it has this hash, as printed by an earlier run
    #[arg(long, value_name = "HASH", conflicts_with_all = ["list", "revoke"])]
    sha256: Option<String>,
}

impl Trust {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        if self.list {
            return list(app);
        }
        let path = match self.file {
            Some(path) => path,
            None => file::project_file()?.ok_or_else(|| {
                Failure::config("found no cred.toml in this folder or the folders above it")
                    .hint("`cred init` creates one and trusts it")
            })?,
        };
        if self.revoke {
            trust::revoke(&path)?;
            if app.output.json {
                return app.output.document(&serde_json::json!({"revoked": path.to_string_lossy()}));
            }
            app.output.info(format!("No longer trusting {}.", path.display()));
            return Ok(());
        }
        let file = file::of_project(path)?;
        let (trusted, effects) = (trust::Trusted::of(&file)?, effects::of(&file));
        app.output.info(format!("{} would use:", file.path().display()));
        effects.iter().for_each(|line| app.output.info(format!("  {line}")));
        if self.sha256.as_ref().is_some_and(|wanted| !wanted.eq_ignore_ascii_case(&trusted.to_variable())) {
            return Err(Failure::config(
                "the file does not have the hash of --sha256, so it was not trusted",
            )
            .hint("check what changed in the file"));
        }
        let hash = trusted.to_variable();
        trust::record(&file, trusted)?;
        if app.output.json {
            return app.output.document(&serde_json::json!({
                "file": file.path().to_string_lossy(), "sha256": hash, "effects": effects,
            }));
        }
        app.output.info(format!("Trusted until it changes. Hash: {hash}"));
        Ok(())
    }
}

fn list(app: &App) -> Result<(), Failure> {
    let record = trust::TrustRecord::read()?;
    let entries: Vec<_> = record.entries().map(|(path, trusted)| (path, trusted.to_variable())).collect();
    if app.output.json {
        let entry = |(path, hash): &(&str, String)| serde_json::json!({"file": path, "sha256": hash});
        return app.output.document(&entries.iter().map(entry).collect::<Vec<_>>());
    }
    let rows: Vec<_> = entries.into_iter().map(|(path, hash)| vec![path.to_owned(), hash]).collect();
    match rows.is_empty() {
        true => app.output.info("No file is trusted."),
        false => app.output.result(&output::table(&["file", "SHA-256 of its contents"], &rows))?,
    }
    Ok(())
}
