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

/// Adds a key to the ring, and seals with it from now on
#[derive(Args)]
#[command(after_help = "Examples:
  cred key add main-2027                        a new file below ~/.config/cred/keys
  cred key add main-2027 --file /srv/main.key   the file that is there, or a new one
  cred key add main-2027 --env CRED_KEY
  cred key add shared --passphrase --generate   seven random words, asked for each time

What is stored stays under the key that it was sealed with, until `cred rekey`.")]
pub(crate) struct Add {
    /// The id, which names this key for ever
    id: KeyId,
    /// The key's file; it is made where it is not there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["env", "passphrase"])]
    file: Option<PathBuf>,
    /// The variable that has the key; it must be set
    #[arg(long, value_name = "NAME", conflicts_with = "passphrase")]
    env: Option<String>,
    /// A passphrase, which is asked for each time
    #[arg(long)]
    passphrase: bool,
    /// Make a passphrase of seven random words, which is shown once
    #[arg(long, requires = "passphrase")]
    generate: bool,
    /// Opens with it, and goes on sealing with the active key
    #[arg(long)]
    inactive: bool,
}

impl Add {
    pub(super) fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let known = profile.file_of_ring();
        if known.is_some() && profile.keys()?.keys().iter().any(|key| *key.id() == self.id) {
            return Err(Failure::usage(format!(
                "the ring `{}` has a key `{}` already",
                profile.ring(),
                self.id
            ))
            .hint("an id names one key for ever: give this one its own"));
        }
        let file = known.unwrap_or(profile.file());
        let mut source = InlineTable::new();
        let mut made = None;
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
                    return Err(Failure::usage("--file was given a key in the place of a file's name")
                        .hint("write the key to a file that is yours alone, and make another key if somebody may have seen it"));
                }
                Some(path) => {
                    std::path::absolute(path).map_err(|error| Failure::file("find", path, error))?
                }
                None => init::free(&init::keys_folder()?, self.id.as_str(), ".key"),
            };
            let text = init::utf8(&path)?;
            if path.exists() {
                // What is no key would be in the way of every command from now on.
                SealingKey::from_file(&path)?;
            } else {
                init::make_key(&path)?;
                made = Some(path.clone());
            }
            source.insert("file", text.into());
        }
        let ring = profile.ring().to_owned();
        let mut seals = false;
        let edited = edit::edit(file, |document| {
            let table = edit::child(edit::child(document.as_table_mut(), "rings")?, &ring)?;
            // The first key of a ring seals, since there is no other.
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
            // A key that no file names has sealed nothing. One of --file stays: somebody else may
            // have named it by now, and the next try takes it.
            if let (Some(path), None) = (&made, &self.file) {
                let _ = fs::remove_file(path);
            }
            return Err(failure);
        }
        if app.output.json {
            let role = if seals { "seals" } else { "opens" };
            return app.output.document(&serde_json::json!({
                "ring": ring, "key": self.id.as_str(), "role": role, "made": made.as_ref().map(|path| path.to_string_lossy()),
            }));
        }
        let role = if seals { "seals with it from now on" } else { "opens with it" };
        app.output.say(format!(
            "Added the key {} to the ring {ring} in {}, which {role}.",
            self.id,
            file.path().display()
        ));
        if let Some(path) = made {
            app.output.say(format!("Made {}; keep a copy of it where the store is not.", path.display()));
        }
        if seals {
            app.output.say("`cred rekey` seals what is stored with it, too.");
        }
        Ok(())
    }
}

/// Refuses a variable that holds no key. Its name is not repeated: it may be a key that was given
/// in its place.
fn key_in_variable(name: &str) -> Result<(), Failure> {
    let no_name = || {
        Failure::usage("--env was given what is no name of a variable")
            .hint("a name has letters, digits and `_`, no digit first; never give the key itself")
    };
    // No shell sets one that begins so, though a process may have it.
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(no_name());
    }
    match SealingKey::from_env_with(name, |name| ProcessEnv.get(name)) {
        Ok(_) => Ok(()),
        Err(KeyRingError::VariableName) => Err(no_name()),
        Err(KeyRingError::Malformed { problem, .. }) => Err(Failure::new(
            Exit::Keys,
            format!("the variable that --env names does not hold a key: {problem}"),
        )
        .hint("a key is the base64 of 32 random bytes")),
        Err(_) => Err(Failure::new(Exit::Keys, "--env names a variable that is not set")
            .hint("set it to the base64 of 32 random bytes")),
    }
}
