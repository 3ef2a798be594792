//! Re-keying: resealing all credentials of a tree under the active key.

mod report;
mod reseal;
mod run;

use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;

pub use self::report::RekeyReport;
use self::run::Run;
use crate::observe::{observe_as, outcome};
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Reseals every credential of this handle's scope and below it under the active key; for the
    /// root, every credential. Contents and metadata do not change.
    ///
    /// The re-key starts when it is awaited. Set its options before:
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let check = manager.rekey().dry_run(true).await?;
    /// if check.is_complete() {
    ///     let show = |report: &cred_manager::RekeyReport| println!("{}", report.done());
    ///     manager.rekey().on_progress(show).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It can be repeated: credentials under the active key are skipped. After a failure, a kill or
    /// a dropped future, call it again.
    ///
    /// # Order
    /// [`concurrency`](Rekey::concurrency) credentials are processed at once.
    ///
    /// 1. Each credential is read. If it is under another key, it is resealed and written.
    /// 2. Credentials for which the sealer was too busy deriving passphrase keys follow one at a
    ///    time. A key ring derives few keys of unproven salts: where it refuses, the re-key waits
    ///    11 s and tries again, at most three times for each credential.
    /// 3. Credentials that cannot be written yet follow in up to five rounds: another writer has
    ///    kept the write lock, or, without compare-and-set, this manager has written them shortly
    ///    before. A round begins once those writes are visible
    ///    ([`Consistency::point`](cred_core::Consistency)) and, where the outcome is unknown, can
    ///    no longer take effect ([`Description::in_doubt`](cred_core::Description::in_doubt)). It
    ///    reads each of them, and does not write those that are under the active key by then. Other
    ///    writers do not wait meanwhile.
    /// 4. Without compare-and-set, every credential that was written is read back, after one wait
    ///    of `point` for all: five minutes on AWS by default. If the outcome of a write is unknown,
    ///    the wait is `in_doubt` and `point`. A credential that is under another key, because
    ///    another process has replaced it or the write did not take effect, is resealed again, in
    ///    up to five rounds.
    /// 5. Over an eventually consistent provider, a credential that is not found is read again
    ///    after `point`, together with those of phase 4. Only then is it counted as gone.
    ///
    /// # Consistency
    /// - **With compare-and-set**, concurrent writers lose nothing: a credential is replaced only
    ///   if it is unchanged since it was read.
    /// - **Without**, the credential is read again and compared under the write lock just before it
    ///   is written, so this manager's own writers lose nothing. A write of another process between
    ///   that read and the write is overwritten with the value before it: stop other writers there.
    ///   Over an eventually consistent provider, that also applies to writes of other processes
    ///   within the preceding `point`.
    /// - **Without**, a write of the re-key whose outcome is unknown may still take effect for
    ///   `in_doubt`. Until then this manager's later writes of that credential wait, or fail as
    ///   [`Busy`](cred_core::StorageErrorKind::Busy), so that none of them is reverted. The re-key
    ///   itself returns only when none of its writes can take effect any more, except after a
    ///   shutdown.
    /// - **Not covered:** an attempt that the provider has repeated after a timeout, if the network
    ///   delivers it later still. It takes effect like a write of another process.
    ///
    /// # Limitations
    /// - Credentials that the list does not contain yet ([`Consistency`](cred_core::Consistency),
    ///   `list`) are missed.
    /// - Deleted credentials that can still be recovered ([`recover`](Self::recover)) stay under
    ///   their former key.
    /// - If the keys are replaced meanwhile ([`set_keys`](Self::set_keys)), some credentials may be
    ///   under the key that was active before. Run it again.
    /// - Do not hold on to a re-key without polling it, and do not block in
    ///   [`on_progress`](Rekey::on_progress): it holds up to `concurrency` write locks, and other
    ///   writes of these credentials fail with `Busy`.
    ///
    /// # Calls of the provider
    /// One list; one read for each credential that is current; two calls for each that is resealed,
    /// and four without compare-and-set. Credentials of the phases 3 and 5 are read again in each
    /// round.
    ///
    /// # Failures
    /// A failed credential does not end the re-key: it is counted, and the report contains the
    /// first [`MAX_FAILURES_KEPT`](RekeyReport::MAX_FAILURES_KEPT) failures. The re-key stops
    ///
    /// - after [`MAX_FAILURES_IN_A_ROW`](RekeyReport::MAX_FAILURES_IN_A_ROW) failures of the
    ///   backend or the key service without a success between them: transient errors, timeouts,
    ///   missing permissions, panics, uncertain writes. Once one of them is a write that may have
    ///   happened, only a write counts as a success;
    /// - at once if the backend refuses the login or is read-only, or the manager is shut down.
    ///
    /// After a stop, no further credential is started. Those that have begun are finished, those
    /// that were written are read back, and the report contains the reason and the number of
    /// credentials that were not tried.
    ///
    /// # Errors
    /// [`ManagerError::Storage`] or [`ManagerError::ShutDown`] if the tree cannot be listed.
    /// Failures of single credentials are in the report.
    ///
    /// # Cancellation
    /// - Dropping the future starts no further credential. Writes that have begun continue to their
    ///   end.
    /// - A [`shutdown`](Self::shutdown) ends every wait of the re-key.
    /// - After either, a write whose outcome is unknown may still take effect for `in_doubt`, which
    ///   the next process does not know: wait for that time before another process writes these
    ///   credentials.
    pub fn rekey(&self) -> Rekey<'_> {
        let concurrency = self.shared.settings.batch_concurrency;
        Rekey { manager: self, dry_run: false, concurrency, progress: Box::new(|_| ()) }
    }
}

type Progress<'a> = Box<dyn FnMut(&RekeyReport) + Send + 'a>;

/// A re-key that has not started, created by [`CredentialManager::rekey`]. Awaiting it runs it.
#[must_use = "a re-key does nothing until it is awaited"]
pub struct Rekey<'a> {
    manager: &'a CredentialManager,
    dry_run: bool,
    concurrency: NonZeroUsize,
    progress: Progress<'a>,
}

impl<'a> Rekey<'a> {
    /// Sets whether to check only: each credential is opened, so that a missing or wrong key is
    /// found, and nothing is written. The default is `false`.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how many credentials are processed at once. The default is the manager's
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency).
    pub fn concurrency(mut self, limit: NonZeroUsize) -> Self {
        self.concurrency = limit;
        self
    }

    /// Sets a function that is called after each credential, in each phase. It must not block. By
    /// default, nothing is called; a second call replaces the first function.
    pub fn on_progress(mut self, progress: impl FnMut(&RekeyReport) + Send + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }
}

impl<'a> IntoFuture for Rekey<'a> {
    type Output = Result<RekeyReport, ManagerError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let manager = self.manager;
        let work = async {
            let paths = manager.list_tree().await?;
            Ok(Run::new(self).run(paths).await)
        };
        Box::pin(observe_as("rekey", manager, None, work, |result| match result {
            Ok(report) => {
                let failures = report.failures.iter().map(|(_, error)| error);
                (report.outcome(), report.stopped.iter().chain(failures).next())
            }
            failed => outcome(failed),
        }))
    }
}

impl fmt::Debug for Rekey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rekey")
            .field("manager", self.manager)
            .field("dry_run", &self.dry_run)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
