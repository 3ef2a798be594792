//! `cred key`.

mod add;

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, Subcommand};
use cred_config::model::Profile;
use cred_core::{CredentialContext, CredentialPath, KeyId, Sealed};
use futures_util::{StreamExt as _, TryStreamExt as _};

use self::add::Add;
use crate::app::App;
use crate::compare;
use crate::config::edit;
use crate::failure::{Exit, Failure};
use crate::output;

/// Manage the key ring of the profile
#[derive(Subcommand)]
pub(crate) enum Key {
    Add(Add),
    List(List),
    Retire(Retire),
}

/// List the keys of the ring; with --count, also the number of credentials sealed under each
#[derive(Args)]
#[command(after_help = "Example:
  cred key list --count")]
pub(crate) struct List {
    /// Read every credential, and count the credentials under each key
    #[arg(long)]
    count: bool,
}

/// Remove a key from the ring, if no credential is sealed under it
#[derive(Args)]
#[command(after_help = "Example:
  cred rekey && cred key retire main-2026

Checks every profile that uses the ring and is defined in the configuration files in use. Does not see profiles of other \
projects, nor deleted credentials that can still be recovered. Keeps the file of the key, because backups need it.")]
pub(crate) struct Retire {
    /// The id of the key
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

impl List {
    fn run(self, app: &App) -> Result<(), Failure> {
        let profile = app.profile()?;
        let ring = profile.keys()?;
        let (mut counts, failures) = match self.count {
            true => key_usage(app, &profile).map(|(counts, failures)| (Some(counts), failures))?,
            false => (None, Vec::new()),
        };
        let mut rows = Vec::new();
        for key in ring.keys() {
            let role = if key.id() == ring.active() { "seals" } else { "opens" };
            let mut row = vec![key.id().to_string(), role.to_owned(), key.describe()];
            if let Some(counts) = &mut counts {
                row.push(counts.remove(key.id()).unwrap_or_default().to_string());
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
            app.output.document(&rows.iter().map(record).collect::<Vec<_>>())?;
        } else {
            let header = ["key", "role", "from", "credentials"];
            let header = header.get(..if self.count { 4 } else { 3 }).unwrap_or(&header);
            app.output.result(&output::table(header, &rows))?;
        }
        match failures.len() {
            0 => Ok(()),
            count => Err(unreadable(count, &profile, failures)),
        }
    }
}

impl Retire {
    fn run(self, app: &App) -> Result<(), Failure> {
        let config = app.config()?;
        let profile = app.profile()?;
        let ring = profile.keys()?;
        if *ring.active() == self.id {
            return Err(Failure::usage(format!("cannot retire the active key `{}`", self.id))
                .hint("add another key with `cred key add`, and run `cred rekey`"));
        }
        let Some(key) = ring.keys().iter().find(|key| *key.id() == self.id) else {
            return Err(Failure::usage(format!("the ring `{}` has no key `{}`", ring.name(), self.id))
                .hint("`cred key list` shows the keys"));
        };
        for profile in config.profiles_of_ring(&profile)? {
            let (mut counts, failures) = key_usage(app, &profile)?;
            if !failures.is_empty() {
                return Err(unreadable(failures.len(), &profile, failures)
                    .hint("fix or delete the credentials listed above: they may be sealed under this key"));
            }
            let count = counts.remove(&self.id).unwrap_or_default();
            if count > 0 {
                return Err(Failure::new(
                    Exit::Keys,
                    format!(
                        "cannot retire the key `{}`: {} in profile `{}` {} sealed under it",
                        self.id,
                        output::credentials(count),
                        profile.name(),
                        if count == 1 { "is" } else { "are" }
                    ),
                )
                .hint(format!("run `cred rekey --profile {}` first", profile.name())));
            }
        }
        let file = profile.file_of_ring().unwrap_or(profile.file());
        edit::edit(file, |document| {
            let rings = document.as_table_mut().get_mut("rings")?.as_table_like_mut()?;
            let table = rings.get_mut(ring.name())?.as_table_like_mut()?;
            table.get_mut("keys")?.as_table_like_mut()?.remove(self.id.as_str()).map(|_| ())
        })?;
        let source = key.describe();
        if app.output.json {
            return app.output.document(&serde_json::json!({
                "ring": ring.name(), "key": self.id.as_str(), "source": source,
            }));
        }
        app.output.info(format!(
            "Removed the key {} from the ring {} in {}.",
            self.id,
            ring.name(),
            file.path().display()
        ));
        app.output.info(format!("Its source was: {source}. Keep it as long as backups need it."));
        Ok(())
    }
}

fn unreadable(count: usize, profile: &Profile<'_>, failures: Vec<(CredentialPath, Failure)>) -> Failure {
    let name = profile.name();
    Failure::partial(
        format!(
            "could not read {} of profile `{name}`, so the keys in use are unknown",
            output::credentials(count)
        ),
        failures,
    )
}

/// The number of credentials under each key, and the credentials that could not be read.
type KeyUsage = (BTreeMap<KeyId, usize>, Vec<(CredentialPath, Failure)>);

fn key_usage(app: &App, profile: &Profile<'_>) -> Result<KeyUsage, Failure> {
    let provider = app.provider(profile)?;
    let progress = app.output.progress("counting", 0);
    app.wait(async {
        let paths = provider.list_tree(None, &CredentialContext::unscoped()).await?;
        progress.set_total(paths.len());
        let read = |path| {
            let (provider, progress) = (Arc::clone(&provider), &progress);
            async move {
                let found = compare::retrieve(&*provider, &path).await;
                progress.step();
                match found.map_err(Failure::from) {
                    Err(failure) if failure.is_outage() => Err(failure),
                    found => Ok((path, found)),
                }
            }
        };
        let results = futures_util::stream::iter(paths.into_iter().map(read)).buffered(compare::CONCURRENCY);
        let (mut counts, mut failures) = (BTreeMap::new(), Vec::new());
        for (path, found) in results.try_collect::<Vec<_>>().await? {
            match found {
                Ok(Some(Sealed { data, .. })) => *counts.entry(data.key_id).or_insert(0) += 1,
                Ok(None) => {}
                Err(failure) => failures.push((path, failure)),
            }
        }
        Ok((counts, failures))
    })
}
