//! `cred migrate`.

mod copy;

use std::collections::BTreeSet;

use clap::Args;
use cred_config::model::{Key, Profile};
use cred_core::{CredentialPath, KeyId, ScopeId};

use self::copy::{Copier, Outcome};
use crate::app::App;
use crate::compare::Rings;
use crate::failure::Failure;
use crate::output::credentials;

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
    /// Seals under the key of the other profile; without it the sealed bytes go as they are, and no
    /// key is needed
    #[arg(long)]
    reseal: bool,
    /// Replaces what differs on the other side, or cannot be read there
    #[arg(long)]
    replace: bool,
    /// Reads and compares everything, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let config = app.config()?;
        let from = config.profile(&self.from, "--from")?;
        let to = config.profile(&self.to, "--to")?;
        if from.is_store_of(&to)? {
            return Err(Failure::usage(format!("{} and {} are one store", from.name(), to.name()))
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
                Ok(ring) => report.strangers(&ring.keys().iter().map(Key::id).collect()),
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
                "{} of {} for {}: {copied} {verb}, {there} already there, {} differ, {} failed.",
                credentials(found),
                from,
                to,
                report.differ.len(),
                report.failed.len(),
            ));
            for (path, parts) in &report.differ {
                app.output
                    .left(format!("{path} differs there in {}; --replace replaces it", parts.join(", ")));
            }
        }
        for (path, reason) in &report.broken {
            let is = if self.dry_run { "would be" } else { "is" };
            app.output.warn(format!("{path} could not be read there, and {is} replaced: {reason}"));
        }
        if !strangers.is_empty() {
            app.output.warn(format!(
                "the ring `{}` of {} lacks {} and cannot open what is sealed under it; add it, or migrate with --reseal",
                to.ring(),
                to.name(),
                strangers.join(", "),
            ));
        }
        match report.differ.len() + report.failed.len() {
            0 => Ok(()),
            left => Err(Failure::partial(
                format!("could not make {left} of {} the same in {}", credentials(found), to.name()),
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
    /// Copied over what could not be read there, for this reason.
    broken: Vec<(String, String)>,
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
                Outcome::Copied(key, broken) => {
                    report.copied += 1;
                    report.keys.insert(key);
                    report.broken.extend(broken.map(|reason| (path.to_string(), reason)));
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
