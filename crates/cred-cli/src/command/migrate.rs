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

/// Copy credentials from one profile to another, and read every copy back
#[derive(Args)]
#[command(after_help = "Examples:
  cred migrate --from dev --to production --dry-run
  cred migrate --from dev --to production --reseal
  cred diff dev production

The source is only read. Equal credentials on both sides are skipped, so a migration that was interrupted or killed can be run \
again. Credentials that differ are listed and left unchanged, unless --replace is given. Exit code 10 if any credential is not \
the same in the target.")]
pub(crate) struct Migrate {
    /// The profile to read
    #[arg(long, value_name = "PROFILE")]
    from: String,
    /// The profile to write
    #[arg(long, value_name = "PROFILE")]
    to: String,
    /// Only this scope and the scopes below it
    #[arg(long, value_name = "SCOPE")]
    scope: Option<ScopeId>,
    /// Open each credential and seal it under the key of the target; by default, the sealed bytes
    /// are copied unchanged and no key is needed
    #[arg(long)]
    reseal: bool,
    /// Replace credentials in the target that differ or cannot be read
    #[arg(long)]
    replace: bool,
    /// Read and compare everything, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Migrate {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let config = app.config()?;
        let from = config.profile(&self.from, "--from")?;
        let to = config.profile(&self.to, "--to")?;
        if from.is_store_of(&to)? {
            return Err(Failure::usage(format!(
                "the profiles `{}` and `{}` use the same store",
                from.name(),
                to.name()
            ))
            .hint("to change the key, add both keys to one ring and run `cred rekey`"));
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
        self.print_report(app, Report::of(outcomes), &from, &to)
    }

    fn print_report(
        &self,
        app: &App,
        report: Report,
        from: &Profile<'_>,
        to: &Profile<'_>,
    ) -> Result<(), Failure> {
        let missing_keys = match self.reseal {
            true => Vec::new(),
            // A ring that cannot be loaded has none of the keys.
            false => match to.keys() {
                Ok(ring) => report.missing_keys(&ring.keys().iter().map(Key::id).collect()),
                Err(_) => report.missing_keys(&BTreeSet::new()),
            },
        };
        let Report { found, copied, unchanged, gone, .. } = report;
        if app.output.json {
            let failed: Vec<_> = report.failed.iter().map(|(path, _)| path.to_string()).collect();
            app.output.document(&serde_json::json!({
                "dry_run": self.dry_run, "found": found, "copied": copied, "already_there": unchanged, "gone": gone,
                "differ": report.differ, "failed": failed, "keys_missing_there": missing_keys,
            }))?;
        } else {
            let verb = if self.dry_run { "would be copied" } else { "copied and read back" };
            app.output.info(format!(
                "Found {} in {} to migrate to {}: {copied} {verb}, {unchanged} already equal, {} different, {} failed.",
                credentials(found),
                from,
                to,
                report.differ.len(),
                report.failed.len(),
            ));
            for (path, parts) in &report.differ {
                app.output.undone(format!(
                    "{path} is different in the target ({}); pass --replace to replace it",
                    parts.join(", ")
                ));
            }
        }
        for (path, reason) in &report.broken {
            let was = if self.dry_run { "would be" } else { "was" };
            app.output.warn(format!("{path} could not be read in the target and {was} replaced: {reason}"));
        }
        if !missing_keys.is_empty() {
            app.output.warn(format!(
                "the ring `{}` of profile `{}` does not have these keys, so it cannot open their credentials: {}; add them, or migrate with --reseal",
                to.ring(),
                to.name(),
                missing_keys.join(", "),
            ));
        }
        match report.differ.len() + report.failed.len() {
            0 => Ok(()),
            left => Err(Failure::partial(
                format!("could not migrate {left} of {} to profile `{}`", credentials(found), to.name()),
                report.failed,
            )
            .hint("fix the credentials listed above and run it again; finished ones are skipped")),
        }
    }
}

/// The summary of a migration.
#[derive(Default)]
struct Report {
    found: usize,
    copied: usize,
    unchanged: usize,
    gone: usize,
    /// Copied over a credential that could not be read, with the reason.
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
                Outcome::Unchanged(key) => {
                    report.unchanged += 1;
                    report.keys.insert(key);
                }
                Outcome::Gone => report.gone += 1,
                Outcome::Differs(parts) => report.differ.push((path.to_string(), parts)),
                Outcome::Failed(failure) => report.failed.push((path, failure)),
            }
        }
        report
    }

    /// The keys of copies that are not in `known`.
    fn missing_keys(&self, known: &BTreeSet<&KeyId>) -> Vec<String> {
        self.keys.iter().filter(|key| !known.contains(key)).map(ToString::to_string).collect()
    }
}
