//! `cred key`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use cred_core::{CredentialContext, KeyId};
use cred_crypto::{KeyRingError, SealingKey};
use cred_provider_kit::{Env as _, ProcessEnv};
use futures_util::{StreamExt as _, TryStreamExt as _};
use toml_edit::{DocumentMut, InlineTable, Item, Table, Value};

use super::init;
use crate::app::App;
use crate::compare;
use crate::config::{Profile, ring};
use crate::failure::{Exit, Failure};
use crate::output;

/// The key ring of the profile
#[derive(Subcommand)]
pub(crate) enum Key {
    Add(Add),
    List(List),
    Retire(Retire),
}

/// Adds a key to the ring, and seals with it from now on
#[derive(Args)]
#[command(after_help = "Examples:
  cred key add main-2027                        a new file below ~/.config/cred/keys
  cred key add main-2027 --file /srv/main.key   the file that is there, or a new one
  cred key add main-2027 --env CRED_KEY
  cred key add shared --passphrase              asked for each time

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
    /// Opens with it, and goes on sealing with the active key
    #[arg(long)]
    inactive: bool,
}

/// Shows the keys of the ring, and with --count how much is sealed under each
#[derive(Args)]
#[command(after_help = "Example:
  cred key list --count")]
pub(crate) struct List {
    /// Reads every credential and counts
    #[arg(long)]
    count: bool,
}

/// Takes a key out of the ring, if nothing is sealed under it any more
#[derive(Args)]
#[command(after_help = "Example:
  cred rekey && cred key retire main-2026

Every profile of the same files that uses the ring is looked through; other projects' files are not known. The key's file stays, since backups need it.")]
pub(crate) struct Retire {
    id: KeyId,
}

impl Key {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(app),
            Self::List(list) => list.run(app),
            Self::Retire(retire) => retire.run(app),
        }
    }
}

impl Add {
    fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let known = profile.file_of_ring();
        if known.is_some() && profile.keys()?.keys.iter().any(|key| key.id == self.id) {
            return Err(Failure::usage(format!(
                "the ring `{}` has a key `{}` already",
                profile.ring, self.id
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
            let (kdf_salt, check) = ring::ask_new(&self.id)?;
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
            if path.exists() {
                // What is no key would be in the way of every command from now on.
                SealingKey::from_file(&path)?;
            } else {
                init::make_key(&path)?;
                made = Some(path.clone());
            }
            source.insert("file", path.to_string_lossy().into_owned().into());
        }
        let ring = profile.ring.clone();
        let mut seals = false;
        let edited = edit(file.path.clone(), file.text(), |document| {
            let table = child(child(document.as_table_mut(), "rings")?, &ring)?;
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
            // A key that no file names has sealed nothing. One of --file stays: somebody else may have named it by now,
            // and the next try takes it.
            if let (Some(path), None) = (&made, &self.file) {
                let _ = fs::remove_file(path);
            }
            return Err(failure);
        }
        if app.output.json {
            let role = if seals { "seals" } else { "opens" };
            return app.output.document(&serde_json::json!({
                "ring": ring, "key": self.id.as_str(), "role": role, "made": made,
            }));
        }
        let role = if seals { "seals with it from now on" } else { "opens with it" };
        app.output.say(format!("Added the key {} to the ring {ring}, which {role}.", self.id));
        if let Some(path) = made {
            app.output.say(format!("Made {}; keep a copy of it where the store is not.", path.display()));
        }
        if seals {
            app.output.say("`cred rekey` seals what is stored with it, too.");
        }
        Ok(())
    }
}

impl List {
    fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let ring = profile.keys()?;
        let mut counts = match self.count {
            true => Some(under_each(app, &profile)?),
            false => None,
        };
        let mut rows = Vec::new();
        for key in &ring.keys {
            let role = if key.id == ring.active { "seals" } else { "opens" };
            let mut row = vec![key.id.to_string(), role.to_owned(), key.source.describe()];
            if let Some(counts) = &mut counts {
                row.push(counts.remove(&key.id).unwrap_or_default().to_string());
            }
            rows.push(row);
        }
        for (id, count) in counts.into_iter().flatten() {
            rows.push(vec![
                id.to_string(),
                "missing".to_owned(),
                "not in the ring".to_owned(),
                count.to_string(),
            ]);
        }
        if app.output.json {
            let record = |row: &Vec<String>| {
                let count = row.get(3).and_then(|count| count.parse::<usize>().ok());
                serde_json::json!({"id": row.first(), "role": row.get(1), "source": row.get(2), "credentials": count})
            };
            return app.output.document(&rows.iter().map(record).collect::<Vec<_>>());
        }
        let header = ["key", "role", "from", "credentials"];
        app.output
            .result(&output::table(header.get(..if self.count { 4 } else { 3 }).unwrap_or(&header), &rows))
    }
}

impl Retire {
    fn run(self, app: &App) -> Result<(), Failure> {
        let config = app.config()?;
        let profile = app.profile()?;
        let ring = profile.keys()?;
        if ring.active == self.id {
            return Err(Failure::usage(format!("`{}` is the key that seals", self.id))
                .hint("add another one with `cred key add`, and run `cred rekey`"));
        }
        let Some(key) = ring.keys.iter().find(|key| key.id == self.id) else {
            return Err(Failure::usage(format!("the ring `{}` has no key `{}`", ring.name, self.id)));
        };
        for user in config.profiles_of_ring(&profile)? {
            let count = under_each(app, &user)?.remove(&self.id).unwrap_or_default();
            if count > 0 {
                return Err(Failure::new(
                    Exit::Keys,
                    format!(
                        "{count} credentials of {} are sealed under `{}` and would not open any more",
                        user.name, self.id
                    ),
                )
                .hint(format!("run `cred rekey --profile {}` first", user.name)));
            }
        }
        let file = profile.file_of_ring().unwrap_or(profile.file());
        edit(file.path.clone(), file.text(), |document| {
            let rings = document.as_table_mut().get_mut("rings")?.as_table_like_mut()?;
            let table = rings.get_mut(&ring.name)?.as_table_like_mut()?;
            table.get_mut("keys")?.as_table_like_mut()?.remove(self.id.as_str()).map(|_| ())
        })?;
        let source = key.source.describe();
        if app.output.json {
            return app.output.document(&serde_json::json!({
                "ring": ring.name, "key": self.id.as_str(), "source": source,
            }));
        }
        app.output.say(format!("Took the key {} out of the ring {}.", self.id, ring.name));
        app.output.say(format!("It came from: {source}. Keep it as long as there are backups under it."));
        Ok(())
    }
}

/// Refuses a variable that holds no key. Its name is not repeated: it may be a key that was given in its place.
fn key_in_variable(name: &str) -> Result<(), Failure> {
    let no_name = || {
        Failure::usage("--env was given what is no name of a variable")
            .hint("a name has letters, digits and `_`, no digit first; never give the key itself")
    };
    // No shell sets one that begins so, though a process may have it.
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(no_name());
    }
    match SealingKey::from_env(name, |name| ProcessEnv.get(name)) {
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

/// How many credentials of a profile are sealed under each key.
fn under_each(app: &App, profile: &Profile<'_>) -> Result<BTreeMap<KeyId, usize>, Failure> {
    let provider = app.provider(profile)?;
    let progress = app.output.progress("counting", 0);
    app.wait(async {
        let paths = provider.list_tree(None, &CredentialContext::unscoped()).await?;
        progress.of(paths.len());
        let look = |path| {
            let (provider, progress) = (Arc::clone(&provider), &progress);
            async move {
                let found = compare::stored(&*provider, &path).await;
                progress.step();
                found
            }
        };
        let looked = futures_util::stream::iter(paths.into_iter().map(look)).buffered(compare::AT_ONCE);
        let found: Vec<_> = looked.try_collect().await?;
        let mut counts = BTreeMap::new();
        for (data, _) in found.into_iter().flatten() {
            *counts.entry(data.key_id).or_insert(0) += 1;
        }
        Ok(counts)
    })
}

/// Changes a file, its comments kept; `None` from the change: it did not find its place.
fn edit(
    path: PathBuf,
    text: &str,
    change: impl FnOnce(&mut DocumentMut) -> Option<()>,
) -> Result<(), Failure> {
    let unfit = || {
        Failure::config(format!("`{}` has a form that this program cannot edit", path.display()))
            .hint("change the tables of `rings` in an editor")
    };
    let mut document: DocumentMut = text.parse().map_err(|_| unfit())?;
    change(&mut document).ok_or_else(unfit)?;
    init::replace(&path, text, &document.to_string()).map_err(|error| Failure::file("write", &path, error))
}

/// The table of a name, made where it is not there.
fn child<'t>(
    table: &'t mut dyn toml_edit::TableLike,
    name: &str,
) -> Option<&'t mut dyn toml_edit::TableLike> {
    let fresh = || {
        let mut table = Table::new();
        table.set_implicit(name == "rings");
        Item::Table(table)
    };
    table.entry(name).or_insert_with(fresh).as_table_like_mut()
}
