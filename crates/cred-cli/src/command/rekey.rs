//! `cred rekey`.

use clap::Args;
use cred_core::ScopeId;

use crate::app::App;
use crate::failure::Failure;
use crate::output::credentials;

/// Seals everything under the active key of the ring, with nothing inside changed
#[derive(Args)]
#[command(after_help = "Examples:
  cred key add main-2027 && cred rekey
  cred rekey org:acme --dry-run

It can be killed at any moment and started again: what is under the active key already is left alone. On AWS and Azure, which have
no compare-and-set, stop other writers meanwhile; everything is read back at the end, on AWS after `read_lag`, by default five minutes.")]
pub(crate) struct Rekey {
    /// Only this scope, and what is below it
    scope: Option<ScopeId>,
    /// Opens everything, so that a missing key shows, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

impl Rekey {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let (profile, manager) = app.manager()?;
        let active = profile.keys()?.active;
        let handle = match self.scope {
            Some(scope) => manager.scoped(scope)?,
            None => manager,
        };
        let bar = app.output.progress("sealing", 0);
        let report = app.wait(async {
            let progress = |report: &cred_manager::RekeyReport| {
                bar.of(report.found);
                bar.set(report.done());
            };
            Ok(handle.rekey(self.dry_run, progress).await?)
        })?;
        drop(bar);
        let failed: Vec<String> = report.failures.iter().map(|(path, _)| path.to_string()).collect();
        if app.output.json {
            app.output.document(&serde_json::json!({
                "dry_run": self.dry_run, "key": active.as_str(), "found": report.found, "resealed": report.resealed,
                "current": report.current, "gone": report.gone, "failed": failed,
            }))?;
        }
        let verb = if self.dry_run { "would be sealed" } else { "sealed" };
        app.output.say(format!(
            "{} of {} {verb} under {active}, {} already, in {}.",
            report.resealed,
            credentials(report.found),
            report.current,
            profile.shown()
        ));
        match report.failed {
            0 => Ok(()),
            count => Err(Failure::partial(
                format!("not known to be sealed under {active}: {}", credentials(count)),
                report.failures.into_iter().map(|(path, error)| (path, error.into())).collect(),
            )),
        }
    }
}
