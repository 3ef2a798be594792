//! `cred migrate`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cred_core::{
    CompareAndSet, CredentialContext, CredentialPath, KeyId, Revision, ScopeId, Sealer as _, StorageError,
    StorageProvider, Stored,
};
use cred_provider_kit::{CredentialFile, limits};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::compare::{self, Rings};
use crate::config::Profile;
use crate::failure::{Exit, Failure};
use crate::output::Progress;

/// Copies credentials from one profile to another, and reads every copy back
#[derive(Args)]
#[command(after_help = "Examples:
  cred migrate --from dev --to production --dry-run
  cred migrate --from dev --to production --reseal
  cred diff dev production

It only reads the one side; what is on the other and the same already is left alone, so that it can be killed at any moment and
started again. What differs there is named and left alone, unless --replace. Exit code 10 if anything is left.")]
pub(crate) struct Migrate {
    /// The profile to read
    #[arg(long, value_name = "PROFILE")]
    from: String,
    /// The profile to write
    #[arg(long, value_name = "PROFILE")]
    to: String,
    /// Only this scope, and what is below it
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// Seals under the key of the other profile; without it the sealed bytes go as they are, and no key is needed
    #[arg(long)]
    reseal: bool,
    /// Replaces what differs on the other side
    #[arg(long)]
    replace: bool,
    /// Reads and compares everything, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// What became of one credential.
enum Outcome {
    /// With the key that the copy is sealed under.
    Copied(KeyId),
    There(KeyId),
    Differs(Vec<&'static str>),
    /// Deleted since it was listed.
    Gone,
    Failed(Failure),
}

impl Migrate {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let config = app.config()?;
        let from = config.profile(&self.from, "--from")?;
        let to = config.profile(&self.to, "--to")?;
        if from.is_store_of(&to)? {
            return Err(Failure::usage(format!("{} and {} are one store", from.name, to.name))
                .hint("`cred rekey` seals what is there under the key of its ring; the keys of both belong into that ring"));
        }
        let rings = match self.reseal {
            false => None,
            true => {
                let of_from = app.keys(&from)?;
                let of_to = if from.has_ring_of(&to) { of_from.clone() } else { app.keys(&to)? };
                Some(Rings { from: of_from, to: of_to })
            }
        };
        let copier = Copier {
            from: app.provider(&from)?,
            to: app.provider(&to)?,
            rings,
            replace: self.replace,
            dry_run: self.dry_run,
        };
        let progress = app.output.progress("migrating", 0);
        let ctx = self.scope.clone().into();
        let outcomes = app.wait(copier.all(&ctx, &progress))?;
        drop(progress);
        self.tell(app, Report::of(outcomes), &from, &to)
    }

    fn tell(&self, app: &App, report: Report, from: &Profile<'_>, to: &Profile<'_>) -> Result<(), Failure> {
        let strangers = match self.reseal {
            true => Vec::new(),
            // A ring that cannot be read has none of the keys.
            false => match to.keys() {
                Ok(ring) => report.strangers(&ring.keys.iter().map(|key| &key.id).collect()),
                Err(_) => report.strangers(&BTreeSet::new()),
            },
        };
        let Report { found, copied, there, gone, .. } = report;
        if app.output.json {
            let failed: Vec<_> = report.failed.iter().map(|(path, _)| path.to_string()).collect();
            app.output.document(&serde_json::json!({
                "dry_run": self.dry_run, "found": found, "copied": copied, "already_there": there, "gone": gone,
                "differ": report.differ, "failed": failed, "keys_missing_there": strangers,
            }))?;
        } else {
            let verb = if self.dry_run { "would be copied" } else { "copied and read back" };
            app.output.say(format!(
                "{found} credentials of {} for {}: {copied} {verb}, {there} already there, {} differ, {} failed.",
                from.name,
                to.name,
                report.differ.len(),
                report.failed.len(),
            ));
            for (path, parts) in &report.differ {
                app.output
                    .left(format!("{path} differs there in {}; --replace replaces it", parts.join(", ")));
            }
        }
        if !strangers.is_empty() {
            app.output.warn(format!(
                "the ring `{}` of {} lacks {} and cannot open what is sealed under it; add it, or migrate with --reseal",
                to.ring,
                to.name,
                strangers.join(", "),
            ));
        }
        match report.differ.len() + report.failed.len() {
            0 => Ok(()),
            left => Err(Failure::partial(
                format!("{left} of {found} credentials are not the same in {}", to.name),
                report.failed,
            )
            .hint("mend what is named and start it again: what is there already is left alone")),
        }
    }
}

/// How it went.
#[derive(Default)]
struct Report {
    found: usize,
    copied: usize,
    there: usize,
    gone: usize,
    differ: Vec<(String, Vec<&'static str>)>,
    failed: Vec<(CredentialPath, Failure)>,
    /// The keys that copies are sealed under.
    keys: BTreeSet<KeyId>,
}

impl Report {
    fn of(outcomes: Vec<(CredentialPath, Outcome)>) -> Self {
        let mut report = Self { found: outcomes.len(), ..Self::default() };
        for (path, outcome) in outcomes {
            match outcome {
                Outcome::Copied(key) => {
                    report.copied += 1;
                    report.keys.insert(key);
                }
                Outcome::There(key) => {
                    report.there += 1;
                    report.keys.insert(key);
                }
                Outcome::Gone => report.gone += 1,
                Outcome::Differs(parts) => report.differ.push((path.to_string(), parts)),
                Outcome::Failed(failure) => report.failed.push((path, failure)),
            }
        }
        report
    }

    /// Keys of copies that are not among these.
    fn strangers(&self, known: &BTreeSet<&KeyId>) -> Vec<String> {
        self.keys.iter().filter(|key| !known.contains(key)).map(ToString::to_string).collect()
    }
}

/// Copies, one credential at a time or several at once: they have nothing to do with each other.
struct Copier {
    from: Arc<dyn StorageProvider>,
    to: Arc<dyn StorageProvider>,
    /// Open the one side and seal for the other; `None`: the sealed bytes go as they are.
    rings: Option<Rings>,
    replace: bool,
    dry_run: bool,
}

impl Copier {
    async fn all(
        &self,
        ctx: &CredentialContext,
        progress: &Progress,
    ) -> Result<Vec<(CredentialPath, Outcome)>, Failure> {
        let mut paths = self.from.list_tree(None, ctx).await?;
        paths.sort_unstable();
        progress.of(paths.len());
        // What is wrong with the other side as a whole is told once, not for each credential: then it cannot even say
        // whether the first one is there. Where it can, that one alone is broken.
        if let Some(first) = paths.first()
            && let Err(error) = compare::stored(&*self.to, first).await
            && self.to.exists(&first.id, &first.scope.clone().into()).await.is_err()
        {
            return Err(error.into());
        }
        let copy = |path: CredentialPath| async move {
            let outcome = self.copy(&path).await.unwrap_or_else(Outcome::Failed);
            progress.step();
            (path, outcome)
        };
        Ok(futures_util::stream::iter(paths.into_iter().map(copy)).buffered(compare::AT_ONCE).collect().await)
    }

    async fn copy(&self, path: &CredentialPath) -> Result<Outcome, Failure> {
        let Some(original) = compare::stored(&*self.from, path).await? else { return Ok(Outcome::Gone) };
        let (there, revision) = self.there(path).await?;
        if let Some(there) = &there {
            let parts = compare::differences(path, &original, there, self.rings.as_ref()).await?;
            if parts.is_empty() {
                return Ok(Outcome::There(there.0.key_id.clone()));
            }
            // The same bytes that do not open there are sealed anew: nothing is lost by it.
            if !self.replace && *there != original {
                return Ok(Outcome::Differs(parts));
            }
        }
        let copy = self.sealed(path, original).await?;
        let key = copy.0.key_id.clone();
        self.check(path, &copy)?;
        if self.dry_run {
            return Ok(Outcome::Copied(key));
        }
        // What is read back decides, whatever the write was answered: an answer may be lost on the way.
        let written = self.write(path, copy.clone(), revision).await;
        match (self.verified(path, &copy).await, written) {
            (Ok(true), _) => Ok(Outcome::Copied(key)),
            (_, Err(error)) => Err(error.into()),
            (Err(error), Ok(())) => Err(error.into()),
            (Ok(false), Ok(())) => Err(Failure::new(
                Exit::InDoubt,
                format!(
                    "`{path}` was written, but what is read back is not what was written; does somebody else write there?"
                ),
            )),
        }
    }

    /// What the other side has, and how to replace exactly that.
    async fn there(&self, path: &CredentialPath) -> Result<(Option<Stored>, Option<Revision>), StorageError> {
        let Some(conditional) = self.to.compare_and_set() else {
            return Ok((compare::stored(&*self.to, path).await?, None));
        };
        match conditional.retrieve_with_revision(&path.id, &path.scope.clone().into()).await {
            Ok((data, metadata, revision)) => Ok((Some((data, metadata)), Some(revision))),
            Err(error) if error.is_not_found() => Ok((None, None)),
            Err(error) => Err(error),
        }
    }

    /// What is to be written: the same bytes, or the same contents under the other side's key.
    async fn sealed(&self, path: &CredentialPath, original: Stored) -> Result<Stored, Failure> {
        let Some(rings) = &self.rings else { return Ok(original) };
        let opened = compare::open(&rings.from, path, &original).await?;
        let data = rings.to.seal(path.as_ref(), &opened.metadata, &opened.secret).await?;
        Ok((data, opened.metadata))
    }

    /// Whether the other side can hold it, as far as its description tells, so that a dry run tells as well.
    fn check(&self, path: &CredentialPath, copy: &Stored) -> Result<(), Failure> {
        let payload = CredentialFile::new(copy.0.clone(), copy.1.clone()).encode()?;
        let description = self.to.describe();
        limits::check(&description.limits, &payload, &copy.1).map_err(|error| {
            error.at(description.name.clone(), cred_core::Operation::Store, path.clone()).into()
        })
    }

    async fn write(
        &self,
        path: &CredentialPath,
        (data, metadata): Stored,
        expected: Option<Revision>,
    ) -> Result<(), StorageError> {
        let ctx: CredentialContext = path.scope.clone().into();
        match self.to.compare_and_set() {
            Some(conditional) => {
                let conditional: &dyn CompareAndSet = conditional;
                conditional.store_if(&path.id, data, metadata, expected.as_ref(), &ctx).await.map(|_| ())
            }
            None => self.to.store(&path.id, data, metadata, &ctx).await,
        }
    }

    /// Whether what is read back is what was written, as soon as the other side promises to show it.
    async fn verified(&self, path: &CredentialPath, copy: &Stored) -> Result<bool, StorageError> {
        const PAUSE: Duration = Duration::from_millis(250);
        let shown = Instant::now() + self.to.describe().consistency.point();
        loop {
            let found = compare::stored(&*self.to, path).await;
            match found {
                Ok(Some(found)) if found == *copy => return Ok(true),
                found if Instant::now() >= shown => return found.map(|_| false),
                _ => sleep(PAUSE).await,
            }
        }
    }
}
