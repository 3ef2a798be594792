//! Resealing a whole tree under the active key.

mod report;
mod reseal;

use std::mem;
use std::time::Duration;

use cred_core::{CredentialPath, SealError};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::sleep;

use self::report::Meaning;
pub use self::report::RekeyReport;
use self::reseal::Resealed;
use crate::conditional::CONFLICT_RETRIES;
use crate::observe::{observe_as, outcome};
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Reseals every credential of this handle's scope and below it under the active key; for the
    /// root, every credential. Contents and metadata do not change.
    ///
    /// It can be repeated: credentials under the active key are left alone, so after a failure, a
    /// kill or a dropped future call it again. With `dry_run` nothing is written, but each
    /// credential is opened, so that a missing or wrong key is found. `progress` is called after
    /// each credential, in each of the phases below.
    ///
    /// # Order
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) credentials are
    /// worked on at once.
    ///
    /// 1. Each credential is read. If it is under another key, it is resealed and written.
    /// 2. If the sealer was too busy deriving passphrase keys for some, these follow one at a time.
    /// 3. Without compare-and-set, credentials that this manager has written shortly before come
    ///    last, once that write is visible ([`Consistency::point`](cred_core::Consistency)) and,
    ///    where its outcome is unknown, can no longer take effect
    ///    ([`Description::in_doubt`](cred_core::Description::in_doubt)). Each is read again before
    ///    the wait, and is not waited for if it is under the active key. Other writers do not wait
    ///    meanwhile.
    /// 4. Without compare-and-set, everything that was written is read back, after one wait of
    ///    `point` for all: five minutes on AWS by default. A credential that another process has
    ///    replaced under another key meanwhile is resealed again.
    ///
    /// # Concurrent writers
    /// Where the provider has compare-and-set, concurrent writers lose nothing: a credential is
    /// replaced only if it is unchanged since it was read. Elsewhere the credential is read again
    /// and compared under the write lock just before it is written, so that this manager's own
    /// writers lose nothing. Another process that writes between that read and the write is
    /// overwritten by the value before: stop other writers there. On an eventually consistent
    /// provider that also holds for what other processes wrote in the `point` before.
    ///
    /// Without compare-and-set, a write of the re-key whose outcome is unknown may still take
    /// effect for `in_doubt`. Until then this manager's later writes of that credential wait, or
    /// are [`Busy`](cred_core::StorageErrorKind::Busy), so that none of them is reverted. This
    /// protection ends with the process.
    ///
    /// # Calls of the provider
    /// One list; one read for each credential that is current; two calls for each that is resealed,
    /// and four without compare-and-set.
    ///
    /// # Failures
    /// A credential that fails does not end the re-key: it is counted, and the first
    /// [`MAX_FAILURES_KEPT`](RekeyReport::MAX_FAILURES_KEPT) failures are in the report. It stops
    ///
    /// - after [`MAX_FAILURES_IN_A_ROW`](RekeyReport::MAX_FAILURES_IN_A_ROW) failures of the
    ///   backend or the key service without a success between them: transient errors, timeouts,
    ///   uncertain writes;
    /// - at once if the backend refuses the login, a permission or any write, or the manager is
    ///   shut down.
    ///
    /// Then no further credential is begun. Those that have begun are finished, those that were
    /// written are read back, and the report has the reason and the number that was not tried.
    ///
    /// # Errors
    /// If the tree cannot be listed. Failures of single credentials are in the report.
    ///
    /// # Cancellation
    /// Dropping the future begins no further credential. Writes that have begun go on to their end.
    pub async fn rekey(
        &self,
        dry_run: bool,
        progress: impl FnMut(&RekeyReport) + Send,
    ) -> Result<RekeyReport, ManagerError> {
        let work = async {
            let paths = self.list_tree().await?;
            let report = RekeyReport { found: paths.len(), ..RekeyReport::default() };
            let rekey = Rekey { manager: self, dry_run, report, progress, failures_in_a_row: 0, stop: None };
            Ok(rekey.run(paths).await)
        };
        observe_as("rekey", self.scope(), None, work, |result| match result {
            Ok(report) => (report.outcome(), report.stopped.as_ref()),
            failed => outcome(failed),
        })
        .await
    }
}

/// A re-key under way.
struct Rekey<'m, P> {
    manager: &'m CredentialManager,
    dry_run: bool,
    report: RekeyReport,
    progress: P,
    /// Of the backend or the key service, since the last success.
    failures_in_a_row: usize,
    /// Why no further credential is begun.
    stop: Option<ManagerError>,
}

/// What a credential is looked at for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Write,
    /// It was written, and is read back.
    Confirm,
}

/// The credentials that are not finished after a sweep.
#[derive(Default)]
struct Rest {
    deferred: Vec<CredentialPath>,
    kdf_busy: Vec<CredentialPath>,
    to_confirm: Vec<CredentialPath>,
    not_tried: Vec<CredentialPath>,
}

impl<P: FnMut(&RekeyReport) + Send> Rekey<'_, P> {
    async fn run(mut self, paths: Vec<CredentialPath>) -> RekeyReport {
        let Rest { mut deferred, mut to_confirm, .. } = self.sweep(Phase::Write, paths).await;
        for round in 0..=CONFLICT_RETRIES {
            if deferred.is_empty() || self.stop.is_some() {
                break;
            }
            // In the first round they are looked at again at once: the others have taken some time.
            if round > 0 {
                sleep(self.unresolved_for(&deferred)).await;
            }
            let rest = self.sweep(Phase::Write, deferred).await;
            deferred = rest.deferred;
            to_confirm.extend(rest.to_confirm);
        }
        if self.stop.is_some() {
            self.report.not_tried += deferred.len();
        } else {
            for path in deferred {
                let error = self.manager.others_write(&path);
                self.give_up(Phase::Write, path, error);
            }
        }
        self.report.stopped = self.stop.take();
        self.confirm(to_confirm).await;
        self.report.stopped = self.report.stopped.or(self.stop);
        self.report
    }

    /// Reads back what was written without compare-and-set, also after a stop: the reason may
    /// concern writes only.
    async fn confirm(&mut self, mut to_confirm: Vec<CredentialPath>) {
        self.failures_in_a_row = 0;
        self.stop = self.manager.shared.tasks.refuse_when_closed().err();
        let point = self.manager.shared.provider.describe().consistency.point();
        let mut wait = point;
        for _ in 0..=CONFLICT_RETRIES {
            if to_confirm.is_empty() || self.stop.is_some() {
                break;
            }
            sleep(wait).await;
            let rest = self.sweep(Phase::Confirm, to_confirm).await;
            wait = point.max(self.unresolved_for(&rest.deferred));
            to_confirm = [rest.to_confirm, rest.deferred, rest.not_tried].concat();
        }
        for path in to_confirm {
            let error = self.stop.clone().unwrap_or_else(|| self.manager.others_write(&path));
            self.give_up(Phase::Confirm, path, error);
        }
    }

    /// How long earlier writes of these stay unresolved.
    fn unresolved_for(&self, paths: &[CredentialPath]) -> Duration {
        let left = |path: &CredentialPath| self.manager.shared.unresolved.left(path.as_ref());
        paths.iter().map(left).max().unwrap_or_default()
    }

    /// Looks at each of these once, and once more, alone, at those for which the sealer was busy.
    async fn sweep(&mut self, phase: Phase, paths: Vec<CredentialPath>) -> Rest {
        let mut rest = Rest::default();
        self.look_at(phase, paths, false, &mut rest).await;
        let kdf_busy = mem::take(&mut rest.kdf_busy);
        self.look_at(phase, kdf_busy, true, &mut rest).await;
        if phase == Phase::Write {
            self.report.not_tried += mem::take(&mut rest.not_tried).len();
        }
        rest
    }

    async fn look_at(&mut self, phase: Phase, paths: Vec<CredentialPath>, alone: bool, rest: &mut Rest) {
        let (manager, dry_run) = (self.manager, self.dry_run);
        let limit = if alone { 1 } else { manager.shared.settings.batch_concurrency.get() };
        let mut paths = paths.into_iter();
        let mut in_work = FuturesUnordered::new();
        loop {
            while self.stop.is_none() && in_work.len() < limit {
                let Some(path) = paths.next() else { break };
                in_work.push(async move {
                    let done = manager.reseal(&path, dry_run).await;
                    (path, done)
                });
            }
            let Some((path, done)) = in_work.next().await else { break };
            match done {
                Err(ManagerError::Seal(SealError::KdfBusy { .. })) if !alone => rest.kdf_busy.push(path),
                Err(error) => self.fail(phase, path, error),
                Ok(Resealed::Deferred) => rest.deferred.push(path),
                Ok(done) => {
                    self.failures_in_a_row = 0;
                    self.count(phase, done);
                    if done == Resealed::ToConfirm {
                        rest.to_confirm.push(path);
                    }
                }
            }
            (self.progress)(&self.report);
        }
        rest.not_tried.extend(paths);
    }

    fn count(&mut self, phase: Phase, done: Resealed) {
        let report = &mut self.report;
        if phase == Phase::Confirm && done != Resealed::ToConfirm {
            report.to_confirm -= 1;
        }
        match (phase, done) {
            (Phase::Write, Resealed::ToConfirm) => report.to_confirm += 1,
            (Phase::Write, Resealed::Current) => report.current += 1,
            (_, Resealed::Done | Resealed::Current) => report.resealed += 1,
            (_, Resealed::Gone) => report.gone += 1,
            (_, Resealed::ToConfirm | Resealed::Deferred) => {}
        }
    }

    fn fail(&mut self, phase: Phase, path: CredentialPath, error: ManagerError) {
        let meaning = Meaning::of(&error);
        self.failures_in_a_row += usize::from(meaning == Meaning::Outage);
        let too_many = self.failures_in_a_row >= RekeyReport::MAX_FAILURES_IN_A_ROW;
        if (too_many || meaning == Meaning::Refusal) && self.stop.is_none() {
            self.stop = Some(error.clone());
        }
        match phase {
            Phase::Write => self.report.add_failure(path, error),
            Phase::Confirm => {
                self.report.to_confirm -= 1;
                let error = self.manager.unconfirmed(&path, error);
                self.report.add_failure(path, error);
            }
        }
    }

    /// Fails a credential that is not looked at again.
    fn give_up(&mut self, phase: Phase, path: CredentialPath, error: ManagerError) {
        self.fail(phase, path, error);
        (self.progress)(&self.report);
    }
}
