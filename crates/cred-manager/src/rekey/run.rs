//! The course of a re-key.

use std::mem;
use std::time::Duration;

use cred_core::{CredentialPath, SealError};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::sleep;

use super::report::Meaning;
use super::reseal::{Look, Mode};
use super::{Progress, Rekey};
use crate::conditional::CONFLICT_RETRIES;
use crate::{CredentialManager, ManagerError, RekeyReport};

/// With the 5 s for which an opening is tried, a little longer than the 10 s that a key ring takes
/// to allow one more key of an unproven salt.
const KDF_WAIT: Duration = Duration::from_secs(6);

/// How often a credential is tried again after that wait. Other users of the ring can be faster.
const KDF_RETRIES: usize = 3;

/// A re-key under way.
pub(super) struct Run<'a> {
    manager: &'a CredentialManager,
    mode: Mode,
    /// How many credentials are worked on at once.
    concurrency: usize,
    report: RekeyReport,
    progress: Progress<'a>,
    in_a_row: FailuresInARow,
    /// Why no further credential is begun.
    stop: Option<ManagerError>,
    /// It begins nothing more. After a stop it still reads back what it has written.
    halted: bool,
}

/// Failures of the backend or the key service since the last success.
#[derive(Default)]
struct FailuresInARow {
    count: usize,
    /// One of them was a write that may have happened.
    of_writes: bool,
}

/// A credential that is not finished.
struct Item {
    path: CredentialPath,
    /// The re-key has written it, or perhaps written it: it is counted in `to_confirm`.
    written: bool,
    /// It was not found. An eventually consistent provider may not show another process's write
    /// yet.
    missing: bool,
    /// Why it is not finished.
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
        let new = |path| Item { path, written: false, missing: false, why: None };
        let new = paths.into_iter().map(new).collect();
        let (mut deferred, mut to_confirm) = Item::split(self.sweep(new).await);
        for _ in 0..CONFLICT_RETRIES {
            if deferred.is_empty() || self.halted {
                break;
            }
            let (again, more) = Item::split(self.sweep_when_resolved(deferred).await);
            to_confirm.extend(more);
            deferred = again;
        }
        self.give_up(deferred);
        self.confirm(to_confirm).await;
        self.report
    }

    /// Reads back what was written without compare-and-set, and what was not found.
    async fn confirm(&mut self, mut open: Vec<Item>) {
        for _ in 0..CONFLICT_RETRIES {
            if open.is_empty() || self.halted {
                break;
            }
            open = self.sweep_when_resolved(open).await;
        }
        // From here on nothing is written, so that no write can take effect after the end. Reads
        // go on after a stop: the reason may concern writes only.
        self.mode = Mode::Read;
        self.in_a_row = FailuresInARow::default();
        self.halted = false;
        // Twice, because of what is not found the first time.
        for _ in 0..2 {
            if open.is_empty() || self.halted {
                break;
            }
            open = self.sweep_when_resolved(open).await;
        }
        self.give_up(open);
    }

    /// Looks at these once this manager's earlier writes of them are visible and can no longer take
    /// effect, and at those that were not found once other writes are visible as well.
    async fn sweep_when_resolved(&mut self, items: Vec<Item>) -> Vec<Item> {
        let left = |item: &Item| match item.missing {
            true => self.unresolved(item).max(self.point()),
            false => self.unresolved(item),
        };
        self.wait(items.iter().map(left).max().unwrap_or_default()).await;
        self.sweep(items).await
    }

    fn unresolved(&self, item: &Item) -> Duration {
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

    /// Looks at each of these once. Returns those that are not finished.
    async fn sweep(&mut self, items: Vec<Item>) -> Vec<Item> {
        let mut open = Vec::new();
        let kdf_busy = self.look_at(items, self.concurrency, &mut open).await;
        // One at a time: a sealer derives few keys at once, and then a few per minute of those that
        // prove wrong.
        for item in kdf_busy {
            let mut busy = self.look_at(vec![item], 1, &mut open).await;
            for _ in 0..KDF_RETRIES {
                if busy.is_empty() {
                    break;
                }
                self.wait(KDF_WAIT).await;
                busy = self.look_at(busy, 1, &mut open).await;
            }
            self.give_up(busy);
        }
        open
    }

    /// Looks at each of these once, `limit` at a time. Returns those for which the sealer was busy;
    /// the others that are not finished go to `open`.
    async fn look_at(&mut self, items: Vec<Item>, limit: usize, open: &mut Vec<Item>) -> Vec<Item> {
        let (manager, mode) = (self.manager, self.mode);
        let mut kdf_busy = Vec::new();
        let mut items = items.into_iter();
        let mut in_work = FuturesUnordered::new();
        loop {
            while !self.halted && in_work.len() < limit {
                let Some(item) = items.next() else { break };
                in_work.push(async move {
                    let look = manager.look_at(&item.path, mode).await;
                    (item, look)
                });
            }
            let Some((item, look)) = in_work.next().await else { break };
            match look {
                Err(error @ ManagerError::Seal(SealError::KdfBusy { .. })) => {
                    kdf_busy.push(Item { why: Some(error), ..item });
                }
                Err(closed @ ManagerError::ShutDown) => {
                    self.halt(closed);
                    open.push(item);
                }
                Err(error) => {
                    self.count_failure(&error);
                    self.fail(item, error);
                }
                Ok(look) => open.extend(self.finish(item, look)),
            }
            (self.progress)(&self.report);
        }
        open.extend(items);
        kdf_busy
    }

    /// Counts a credential that is finished, or returns it.
    fn finish(&mut self, mut item: Item, look: Look) -> Option<Item> {
        match &look {
            Look::Done | Look::Written => self.in_a_row = FailuresInARow::default(),
            Look::Uncertain(error) => self.count_failure(error),
            // That reads succeed does not show that writes do.
            Look::Current | Look::Outdated | Look::NotFound if self.in_a_row.of_writes => {}
            Look::Current | Look::Outdated | Look::NotFound => self.in_a_row.count = 0,
            Look::Deferred(_) => {}
        }
        let was_missing = mem::take(&mut item.missing);
        let finished = match look {
            Look::Done => &mut self.report.resealed,
            Look::Current if item.written => &mut self.report.resealed,
            Look::Current => &mut self.report.current,
            Look::NotFound if was_missing || self.point().is_zero() => &mut self.report.gone,
            Look::NotFound => return Some(Item { missing: true, ..item }),
            Look::Outdated => return Some(item),
            Look::Deferred(why) => return Some(Item { why: Some(why), ..item }),
            Look::Written => return Some(self.written(item, None)),
            Look::Uncertain(error) => return Some(self.written(item, Some(error))),
        };
        *finished += 1;
        self.report.to_confirm -= usize::from(item.written);
        None
    }

    fn written(&mut self, item: Item, why: Option<ManagerError>) -> Item {
        self.report.to_confirm += usize::from(!item.written);
        Item { written: true, why, ..item }
    }

    fn count_failure(&mut self, error: &ManagerError) {
        match Meaning::of(error) {
            Meaning::Credential => {}
            Meaning::Refusal => self.halt(error.clone()),
            Meaning::Outage => {
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

    /// Counts credentials that are not looked at again. After a stop, those that were not written
    /// are not tried; all others have failed.
    fn give_up(&mut self, items: Vec<Item>) {
        if !items.is_empty() {
            self.report.stopped.clone_from(&self.stop);
        }
        for mut item in items {
            if self.stop.is_some() && !item.written {
                self.report.not_tried += 1;
                continue;
            }
            let why = item.why.take().or_else(|| self.stop.clone());
            let why = why.unwrap_or_else(|| self.manager.others_write(&item.path));
            self.fail(item, why);
            (self.progress)(&self.report);
        }
    }

    fn fail(&mut self, item: Item, error: ManagerError) {
        let error = match item.written {
            true => self.manager.unconfirmed(&item.path, error),
            false => error,
        };
        self.report.to_confirm -= usize::from(item.written);
        self.report.add_failure(item.path, error);
    }
}

impl Item {
    /// Those that still are to be written, and those that a later read finishes, as far as is
    /// known.
    fn split(items: Vec<Self>) -> (Vec<Self>, Vec<Self>) {
        items.into_iter().partition(|item| !item.written && !item.missing)
    }
}
