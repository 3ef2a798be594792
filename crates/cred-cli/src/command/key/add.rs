//! `cred key add`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use cred_core::KeyId;
use cred_crypto::{KeyRingError, SealingKey};
use cred_provider_kit::{Env as _, ProcessEnv};
use toml_edit::{InlineTable, Item, Table, Value};

use crate::app::App;
use crate::command::init;
use crate::config::{edit, ring};
use crate::failure::{Exit, Failure};

/// Add a key to the ring and make it the active key, which seals
#[derive(Args)]
#[command(after_help = "Examples:
  cred key add main-2027                        # creates a key file
  cred key add main-2027 --file /srv/main.key   # an existing or a new file
  cred key add main-2027 --env CRED_KEY
  cred key add shared --passphrase --generate   # seven random words

Stored credentials stay sealed under their present key until you run `cred rekey`.")]
pub(crate) struct Add {
    /// The id of the key, never used again for another key
    id: KeyId,
    /// The file with the key; created if it does not exist
    #[arg(long, value_name = "FILE", conflicts_with_all = ["env", "passphrase"])]
    file: Option<PathBuf>,
    /// The environment variable with the key; it must be set
    #[arg(long, value_name = "NAME", conflicts_with = "passphrase")]
    env: Option<String>,
    /// Derive the key from a passphrase; cred prompts for it whenever it needs the key
    #[arg(long)]
    passphrase: bool,
    /// Generate a passphrase of seven random words, and show it once
    #[arg(long, requires = "passphrase")]
    generate: bool,
    /// Only open with the key; the active key stays the same
    #[arg(long)]
    inactive: bool,
}

impl Add {
    pub(super) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let known = profile.file_of_ring();
        if known.is_some() && profile.keys()?.keys().iter().any(|key| *key.id() == self.id) {
            return Err(Failure::usage(format!(
                "the ring `{}` already has a key `{}`",
                profile.ring(),
                self.id
            ))
            .hint("an id is never used for another key: choose a new one"));
        }
        let file = known.unwrap_or(profile.file());
        let mut source = InlineTable::new();
        let mut created = None;
        if let Some(name) = &self.env {
            key_in_variable(name)?;
            source.insert("env", name.as_str().into());
        } else if self.passphrase {
            let (kdf_salt, check) = ring::ask_new(&self.id, self.generate)?;
            source.insert("passphrase", "prompt".into());
            source.insert("kdf_salt", kdf_salt.into());
            source.insert("check", check.into());
        } else {
            let path = match &self.file {
                Some(path) if path.to_str().is_some_and(|text| SealingKey::from_base64(text).is_ok()) => {
                    return Err(Failure::usage("the value of --file is a key, not a path")
                        .hint("write the key to a file that only you can read, and use another key if this one may have been seen"));
                }
                Some(path) => {
                    std::path::absolute(path).map_err(|error| Failure::file("find", path, error))?
                }
                None => init::free_path(&init::keys_folder()?, self.id.as_str(), ".key"),
            };
            let text = init::utf8(&path)?;
            if path.exists() {
                // An invalid key file would make every later command fail.
                SealingKey::from_file(&path)?;
            } else {
                init::create_key_file(&path)?;
                created = Some(path.clone());
            }
            source.insert("file", text.into());
        }
        let ring = profile.ring().to_owned();
        let mut seals = false;
        let edited = edit::edit(file, |document| {
            let table = edit::subtable(edit::subtable(document.as_table_mut(), "rings")?, &ring)?;
            // The first key of a ring is always active.
            seals = !self.inactive || !table.contains_key("active");
            if seals {
                table.insert("active", toml_edit::value(self.id.as_str()));
            }
            let keys = table.entry("keys").or_insert_with(|| {
                let mut keys = Table::new();
                keys.set_dotted(true);
                Item::Table(keys)
            });
            let keys = keys.as_table_like_mut()?;
            keys.insert(self.id.as_str(), Item::Value(Value::InlineTable(source)));
            Some(())
        });
        if let Err(failure) = edited {
            // No file names the key, so it has sealed nothing. The file of --file stays: another
            // configuration may name it by now, and the next attempt uses it.
            if let (Some(path), None) = (&created, &self.file) {
                let _ = fs::remove_file(path);
            }
            return Err(failure);
        }
        if app.output.json {
            let role = if seals { "seals" } else { "opens" };
            return app.output.document(&serde_json::json!({
                "ring": ring, "key": self.id.as_str(), "role": role, "made": created.as_ref().map(|path| path.to_string_lossy()),
            }));
        }
        let role =
            if seals { "It is now the active key" } else { "It opens, and the active key stays the same" };
        app.output.info(format!(
            "Added the key {} to the ring {ring} in {}. {role}.",
            self.id,
            file.path().display()
        ));
        if let Some(path) = created {
            app.output.info(format!("Created {}; keep a copy of it outside the store.", path.display()));
        }
        if seals {
            app.output.info("Run `cred rekey` to reseal stored credentials with it.");
        }
        Ok(())
    }
}

/// Rejects a variable that does not hold a key. Errors do not repeat its name, which may be a key
/// that was given by mistake.
fn key_in_variable(name: &str) -> Result<(), Failure> {
    let invalid_name = || {
        Failure::usage("the value of --env is not the name of a variable").hint(
            "a name has letters, digits and `_`, and does not start with a digit; never pass the key itself",
        )
    };
    // A process can have a variable with such a name, but no shell can set it.
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(invalid_name());
    }
    match SealingKey::from_env_with(name, |name| ProcessEnv.get(name)) {
        Ok(_) => Ok(()),
        Err(KeyRingError::VariableName) => Err(invalid_name()),
        Err(KeyRingError::Malformed { problem, .. }) => {
            Err(Failure::new(Exit::Keys, format!("the variable of --env does not hold a key: {problem}"))
                .hint("a key is the base64 of 32 random bytes"))
        }
        Err(_) => Err(Failure::new(Exit::Keys, "the variable of --env is not set")
            .hint("set it to the base64 of 32 random bytes")),
    }
}
