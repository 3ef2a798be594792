//! `cred rekey`.

use clap::Args;
use cred_core::{KeyId, ScopeId};
use cred_manager::RekeyReport;

use crate::app::App;
use crate::failure::Failure;
use crate::output::{Output, Progress, credentials};

/// Reseal every credential under the active key of the ring; contents do not change
#[derive(Args)]
#[command(after_help = "Examples:
  cred key add main-2027 && cred rekey
  cred rekey org:acme --dry-run

It can be interrupted at any moment and run again: credentials under the active key are skipped. It stops early if the \
backend is down or refuses access, and reports why and how many credentials were not tried.

AWS and Azure have no compare-and-set: stop other writers while it runs. Every write is read back at the end, on AWS after \
`read_lag` (five minutes by default). If a write got no answer, it may still take effect for five minutes on AWS and for \
`operation_timeout` on Azure, and is read back that much later. After an interruption, wait for that time before you change \
the credentials.")]
pub(crate) struct Rekey {
    /// Reseal only this scope and the scopes below it
    scope: Option<ScopeId>,
    /// Open every credential, to find missing and wrong keys, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Rekey {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let (profile, manager) = app.manager()?;
        let active = profile.keys()?.active().clone();
        let handle = match self.scope {
            Some(scope) => manager.scoped(scope)?,
            None => manager,
        };
        let mut bar = RekeyProgress::new(app.output);
        let report = app.wait(async {
            Ok(handle.rekey().dry_run(self.dry_run).on_progress(|report| bar.show(report)).await?)
        })?;
        drop(bar);
        if app.output.json {
            app.output.document(&document(&report, self.dry_run, &active))?;
        }
        let verb = if self.dry_run { "would be sealed" } else { "sealed" };
        app.output.info(format!(
            "{} of {} {verb} under {active}, {} already sealed under it, in {}.",
            report.resealed,
            credentials(report.found),
            report.current,
            profile
        ));
        failure(report, &active).map_or(Ok(()), Err)
    }
}

/// A progress bar for the credentials that are written, then one for those that are read back.
struct RekeyProgress {
    output: Output,
    bar: Progress,
    /// Maximum number of credentials to read back.
    to_confirm: usize,
    reads_back: bool,
}

impl RekeyProgress {
    fn new(output: Output) -> Self {
        Self { output, bar: output.progress("sealing", 0), to_confirm: 0, reads_back: false }
    }

    fn show(&mut self, report: &RekeyReport) {
        if report.to_confirm < self.to_confirm && !self.reads_back {
            self.bar = self.output.progress("reading back", self.to_confirm);
            self.reads_back = true;
        }
        self.to_confirm = self.to_confirm.max(report.to_confirm);
        if self.reads_back {
            self.bar.set(self.to_confirm - report.to_confirm);
        } else {
            self.bar.set_total(report.found);
            self.bar.set(report.done() + report.to_confirm);
        }
    }
}

fn document(report: &RekeyReport, dry_run: bool, active: &KeyId) -> serde_json::Value {
    let failed: Vec<String> = report.failures.iter().map(|(path, _)| path.to_string()).collect();
    serde_json::json!({
        "dry_run": dry_run, "key": active.as_str(), "found": report.found, "resealed": report.resealed,
        "current": report.current, "gone": report.gone, "failed": failed, "failed_count": report.failed,
        "not_tried": report.not_tried, "stopped": report.stopped.as_ref().map(ToString::to_string),
    })
}

/// The failure of an incomplete rekey; `None` if it is complete.
fn failure(report: RekeyReport, active: &KeyId) -> Option<Failure> {
    if report.is_complete() {
        return None;
    }
    let mut message = format!(
        "could not reseal {} under the key `{active}`, or not confirm it",
        credentials(report.failed)
    );
    let more = report.failed.saturating_sub(report.failures.len());
    if more > 0 {
        message += &format!(" ({more} of them not listed)");
    }
    if report.stopped.is_some() {
        message += &format!("; stopped early, {} not tried", credentials(report.not_tried));
    }
    let parts = report.failures.into_iter().map(|(path, error)| (path, error.into())).collect();
    let failure = Failure::partial(message, parts)
        .hint("fix the cause and run it again; credentials that are finished are skipped");
    Some(match report.stopped {
        Some(stopped) => failure.caused_by(stopped),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use cred_core::{Operation, StorageErrorKind};
    use cred_manager::ManagerError;

    use super::*;
    use crate::failure::Exit;

    fn stopped() -> (RekeyReport, KeyId) {
        let denied = StorageErrorKind::PermissionDenied { reason: "it may only read".into() };
        let path: cred_core::CredentialPath = "org:a/id".parse().unwrap();
        let error = cred_core::StorageError::from(denied).at("vault", Operation::Store, path.clone());
        let mut report = RekeyReport::default();
        (report.found, report.resealed, report.failed, report.not_tried) = (400, 10, 150, 240);
        report.failures = vec![(path, error.clone().into()); RekeyReport::MAX_FAILURES_KEPT];
        report.stopped = Some(ManagerError::from(error));
        (report, "next".parse().unwrap())
    }

    #[test]
    fn a_stopped_rekey_reports_the_cause_and_the_remaining_credentials() {
        let (report, active) = stopped();
        let document = document(&report, false, &active);
        assert_eq!(document["failed"].as_array().unwrap().len(), 100);
        assert_eq!((&document["failed_count"], &document["not_tried"]), (&150.into(), &240.into()));
        assert!(document["stopped"].as_str().unwrap().contains("it may only read"), "{document}");

        let failure = failure(report, &active).unwrap();
        assert_eq!(
            failure.to_string(),
            "could not reseal 150 credentials under the key `next`, or not confirm it (50 of them not listed); \
             stopped early, 240 credentials not tried"
        );
        assert_eq!((failure.exit, failure.parts().len()), (Exit::Partial, 100));
        assert!(failure.causes()[0].contains("it may only read"), "{:?}", failure.causes());
    }

    #[test]
    fn a_complete_rekey_is_not_a_failure() {
        let mut report = RekeyReport::default();
        (report.found, report.resealed) = (2, 2);
        assert!(failure(report, &"next".parse().unwrap()).is_none());
    }
}
