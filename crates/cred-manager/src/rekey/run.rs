//! The phases of a re-key.

use std::mem;
use std::time::Duration;

use cred_core::{CredentialPath, SealError};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::sleep;

use super::report::FailureImpact;
use super::reseal::{Attempt, Mode};
use super::{Progress, Rekey};
use crate::conditional::CONFLICT_RETRIES;
use crate::{CredentialManager, ManagerError, RekeyReport};

/// Together with the 5 s for which an opening is tried, a little longer than the 10 s after which a
/// key ring allows one more key of an unproven salt.
const KDF_WAIT: Duration = Duration::from_secs(6);

/// How often a credential is tried again after that wait. Other users of the ring may use up the
/// allowed key first.
const KDF_RETRIES: usize = 3;

/// A running re-key.
pub(super) struct Run<'a> {
    manager: &'a CredentialManager,
    mode: Mode,
    /// How many credentials are processed at once.
    concurrency: usize,
    report: RekeyReport,
    progress: Progress<'a>,
    in_a_row: FailuresInARow,
    /// The error because of which no further credential is started.
    stop: Option<ManagerError>,
    /// No further credential is started in this phase. After a stop, the written ones are still
    /// read back.
    halted: bool,
}

/// Failures of the backend or the key service since the last success.
#[derive(Default)]
struct FailuresInARow {
    count: usize,
    /// At least one of them was a write that may have happened.
    of_writes: bool,
}

/// A credential that is not finished.
struct Pending {
    path: CredentialPath,
    /// The re-key has written it, or may have written it: it is counted in `to_confirm`.
    written: bool,
    /// It was not found. Over an eventually consistent provider, another process's write may not be
    /// visible yet.
    missing: bool,
    /// The reason why it is not finished.
    why: Option<ManagerError>,
}

impl<'a> Run<'a> {
    pub(super) fn new(Rekey { manager, dry_run, concurrency, progress }: Rekey<'a>) -> Self {
        let mode = if dry_run { Mode::DryRun } else { Mode::Write };
        let (concurrency, report) = (concurrency.get(), RekeyReport::default());
        let in_a_row = FailuresInARow::default();
        Self { manager, mode, concurrency, report, progress, in_a_row, stop: None, halted: false }
    }

    pub(super) async fn run(mut self, paths: Vec<CredentialPath>) -> RekeyReport {
        self.report.found = paths.len();
        let new = |path| Pending { path, written: false, missing: false, why: None };
        let new = paths.into_iter().map(new).collect();
        let (mut deferred, mut to_confirm) = Pending::split(self.sweep(new).await);
        for _ in 0..CONFLICT_RETRIES {
            if deferred.is_empty() || self.halted {
                break;
            }
            let (again, more) = Pending::split(self.sweep_when_resolved(deferred).await);
            to_confirm.extend(more);
            deferred = again;
        }
        self.abandon(deferred);
        self.confirm(to_confirm).await;
        self.report
    }

    /// Reads back the credentials that were written without compare-and-set, and reads those that
    /// were not found again.
    async fn confirm(&mut self, mut open: Vec<Pending>) {
        for _ in 0..CONFLICT_RETRIES {
            if open.is_empty() || self.halted {
                break;
            }
            open = self.sweep_when_resolved(open).await;
        }
        // No more writes from here on, so that none can take effect after the re-key has returned.
        // Reads continue after a stop: the reason may concern writes only.
        self.mode = Mode::Read;
        self.in_a_row = FailuresInARow::default();
        self.halted = false;
        // Twice: a credential that is not found the first time is read again.
        for _ in 0..2 {
            if open.is_empty() || self.halted {
                break;
            }
            open = self.sweep_when_resolved(open).await;
        }
        self.abandon(open);
    }

    /// Attempts these once this manager's earlier writes of them are visible and can no longer take
    /// effect, and those that were not found once other writes are visible as well.
    async fn sweep_when_resolved(&mut self, items: Vec<Pending>) -> Vec<Pending> {
        let left = |item: &Pending| match item.missing {
            true => self.unresolved(item).max(self.point()),
            false => self.unresolved(item),
        };
        self.wait(items.iter().map(left).max().unwrap_or_default()).await;
        self.sweep(items).await
    }

    fn unresolved(&self, item: &Pending) -> Duration {
        self.manager.shared.unresolved.left(item.path.as_path_ref())
    }

    fn point(&self) -> Duration {
        self.manager.shared.provider.describe().consistency.point()
    }

    async fn wait(&mut self, time: Duration) {
        if let Err(closed) = self.manager.shared.tasks.until_closed(sleep(time)).await {
            self.halt(closed);
        }
    }

    /// Attempts each of these once. Returns those that are not finished.
    async fn sweep(&mut self, items: Vec<Pending>) -> Vec<Pending> {
        let mut open = Vec::new();
        let kdf_busy = self.attempt_all(items, self.concurrency, &mut open).await;
        // One at a time: a sealer derives few keys at once, and after that only a few per minute of
        // those that prove wrong.
        for item in kdf_busy {
            let mut busy = self.attempt_all(vec![item], 1, &mut open).await;
            for _ in 0..KDF_RETRIES {
                if busy.is_empty() {
                    break;
                }
                self.wait(KDF_WAIT).await;
                busy = self.attempt_all(busy, 1, &mut open).await;
            }
            self.abandon(busy);
        }
        open
    }

    /// Attempts each of these once, `limit` at a time. Returns those for which the sealer was busy;
    /// adds the others that are not finished to `open`.
    async fn attempt_all(
        &mut self,
        items: Vec<Pending>,
        limit: usize,
        open: &mut Vec<Pending>,
    ) -> Vec<Pending> {
        let (manager, mode) = (self.manager, self.mode);
        let mut kdf_busy = Vec::new();
        let mut items = items.into_iter();
        let mut in_work = FuturesUnordered::new();
        loop {
            while !self.halted && in_work.len() < limit {
                let Some(item) = items.next() else { break };
                in_work.push(async move {
                    let attempt = manager.attempt(&item.path, mode).await;
                    (item, attempt)
                });
            }
            let Some((item, attempt)) = in_work.next().await else { break };
            match attempt {
                Err(error @ ManagerError::Seal(SealError::KdfBusy { .. })) => {
                    kdf_busy.push(Pending { why: Some(error), ..item });
                }
                Err(closed @ ManagerError::ShutDown) => {
                    self.halt(closed);
                    open.push(item);
                }
                Err(error) => {
                    self.count_failure(&error);
                    self.fail(item, error);
                }
                Ok(attempt) => open.extend(self.finish(item, attempt)),
            }
            (self.progress)(&self.report);
        }
        open.extend(items);
        kdf_busy
    }

    /// Counts a credential that is finished, or returns it.
    fn finish(&mut self, mut item: Pending, attempt: Attempt) -> Option<Pending> {
        match &attempt {
            Attempt::Resealed | Attempt::Written => self.in_a_row = FailuresInARow::default(),
            Attempt::Uncertain(error) => self.count_failure(error),
            // Successful reads do not prove that writes succeed.
            Attempt::Current | Attempt::Outdated | Attempt::NotFound if self.in_a_row.of_writes => {}
            Attempt::Current | Attempt::Outdated | Attempt::NotFound => self.in_a_row.count = 0,
            Attempt::Deferred(_) => {}
        }
        let was_missing = mem::take(&mut item.missing);
        let finished = match attempt {
            Attempt::Resealed => &mut self.report.resealed,
            Attempt::Current if item.written => &mut self.report.resealed,
            Attempt::Current => &mut self.report.current,
            Attempt::NotFound if was_missing || self.point().is_zero() => &mut self.report.gone,
            Attempt::NotFound => return Some(Pending { missing: true, ..item }),
            Attempt::Outdated => return Some(item),
            Attempt::Deferred(why) => return Some(Pending { why: Some(why), ..item }),
            Attempt::Written => return Some(self.written(item, None)),
            Attempt::Uncertain(error) => return Some(self.written(item, Some(error))),
        };
        *finished += 1;
        self.report.to_confirm -= usize::from(item.written);
        None
    }

    fn written(&mut self, item: Pending, why: Option<ManagerError>) -> Pending {
        self.report.to_confirm += usize::from(!item.written);
        Pending { written: true, why, ..item }
    }

    fn count_failure(&mut self, error: &ManagerError) {
        match FailureImpact::of(error) {
            FailureImpact::OneCredential => {}
            FailureImpact::Refusal => self.halt(error.clone()),
            FailureImpact::Outage => {
                self.in_a_row.count += 1;
                self.in_a_row.of_writes |= error.may_have_written();
                if self.in_a_row.count >= RekeyReport::MAX_FAILURES_IN_A_ROW {
                    self.halt(error.clone());
                }
            }
        }
    }

    fn halt(&mut self, why: ManagerError) {
        self.stop.get_or_insert(why);
        self.halted = true;
    }

    /// Counts credentials that are not attempted again. After a stop, those that were not written
    /// count as not tried; all others have failed.
    fn abandon(&mut self, items: Vec<Pending>) {
        if !items.is_empty() {
            self.report.stopped.clone_from(&self.stop);
        }
        for mut item in items {
            if self.stop.is_some() && !item.written {
                self.report.not_tried += 1;
                continue;
            }
            let why = item.why.take().or_else(|| self.stop.clone());
            let why = why.unwrap_or_else(|| self.manager.conflict_error(&item.path));
            self.fail(item, why);
            (self.progress)(&self.report);
        }
    }

    fn fail(&mut self, item: Pending, error: ManagerError) {
        let error = match item.written {
            true => self.manager.unconfirmed_error(&item.path, error),
            false => error,
        };
        self.report.to_confirm -= usize::from(item.written);
        self.report.add_failure(item.path, error);
    }
}

impl Pending {
    /// Splits them into those that still have to be written, and those that only have to be read
    /// again, as far as is known.
    fn split(items: Vec<Self>) -> (Vec<Self>, Vec<Self>) {
        items.into_iter().partition(|item| !item.written && !item.missing)
    }
}
