//! A backend that a test controls: reads and writes that wait, fail, lag or take effect late.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cred_core::{
    Consistency, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Sealed, StorageError, StorageErrorKind, StorageProvider, async_trait,
};
use tokio::time::{Instant, sleep};

/// Its behaviour, which can be changed while it runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Behaviour {
    /// How long a read takes. It returns the value stored when it starts.
    pub(crate) read_takes: Duration,
    /// How long a write takes before it takes effect.
    pub(crate) write_takes: Duration,
    /// How much later than its response a write becomes visible to reads.
    pub(crate) lag: Duration,
    /// Reads fail.
    pub(crate) reads_fail: bool,
    /// Writes take effect this much later than they were called. Before that they end without a
    /// response, as `late_writes_end` defines.
    pub(crate) writes_land_late: Option<Duration>,
    /// How a write that takes effect late ends.
    pub(crate) late_writes_end: Ending,
    /// Reads panic.
    pub(crate) reads_panic: bool,
    /// A read of many credentials returns one result too few.
    pub(crate) one_answer_is_missing: bool,
}

/// How a write ends that takes effect later.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Ending {
    /// It returns `Unavailable` at once.
    #[default]
    Fails,
    /// It never ends.
    Hangs,
    /// It panics at once.
    Panics,
}

/// When a write becomes visible, and the stored value; `None`: a deletion.
type Written = (Instant, Option<Sealed>);

pub(crate) struct Backend {
    description: Description,
    behaviour: Mutex<Behaviour>,
    /// The writes, each with the moment from which it is visible.
    written: Arc<Mutex<HashMap<CredentialPath, Vec<Written>>>>,
    pub(crate) reads: AtomicUsize,
    pub(crate) batches: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) most_in_flight: AtomicUsize,
}

impl Backend {
    pub(crate) fn new(consistency: Consistency) -> Arc<Self> {
        Self::with_batch(consistency, 1)
    }

    pub(crate) fn with_batch(consistency: Consistency, batch: usize) -> Arc<Self> {
        Self::of(
            Description::new("backend", Duration::from_secs(10))
                .with_consistency(consistency)
                .with_in_doubt(Duration::from_secs(30))
                .with_batch(NonZeroUsize::new(batch).unwrap()),
        )
    }

    pub(crate) fn of(description: Description) -> Arc<Self> {
        Arc::new(Self {
            description,
            behaviour: Mutex::default(),
            written: Arc::default(),
            reads: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        })
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().unwrap());
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap()
    }

    fn visible(&self, path: &CredentialPath) -> Option<Sealed> {
        let (now, written) = (Instant::now(), self.written.lock().unwrap());
        written.get(path)?.iter().rev().find(|(from, _)| *from <= now)?.1.clone()
    }

    async fn write(&self, path: CredentialPath, value: Option<Sealed>) -> Result<(), StorageError> {
        let Behaviour { write_takes, lag, writes_land_late, late_writes_end, .. } = self.behaviour();
        let written = Arc::clone(&self.written);
        let show = move |from: Instant| written.lock().unwrap().entry(path).or_default().push((from, value));
        if let Some(late) = writes_land_late {
            // The attempt takes effect whether or not its caller waits.
            tokio::spawn(async move {
                sleep(late).await;
                show(Instant::now());
            });
            return match late_writes_end {
                Ending::Fails => Err(StorageError::unavailable("the connection was reset")),
                Ending::Hangs => std::future::pending().await,
                Ending::Panics => panic!("as a defective provider might"),
            };
        }
        sleep(write_takes).await;
        show(Instant::now() + lag);
        Ok(())
    }

    async fn read(&self, path: &CredentialPath) -> Result<Sealed, StorageError> {
        let behaviour = self.behaviour();
        let seen = self.visible(path);
        sleep(behaviour.read_takes).await;
        if behaviour.reads_panic {
            panic!("as a defective provider might");
        }
        if behaviour.reads_fail {
            return Err(StorageError::unavailable("down"));
        }
        seen.ok_or_else(|| StorageErrorKind::NotFound.into())
    }

    async fn counted<T>(&self, work: impl Future<Output = T>) -> T {
        let running = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(running, Ordering::SeqCst);
        let answer = work.await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

#[async_trait]
impl StorageProvider for Backend {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        self.counted(self.write(ctx.path(id).to_path(), Some(Sealed { data, metadata }))).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.counted(self.read(&ctx.path(id).to_path())).await
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Sealed, StorageError>> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.counted(async {
            let mut answers = Vec::new();
            for id in ids {
                answers.push(self.read(&ctx.path(id).to_path()).await);
            }
            if self.behaviour().one_answer_is_missing {
                answers.pop();
            }
            answers
        })
        .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.counted(self.write(ctx.path(id).to_path(), None)).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        Ok(self.visible(&ctx.path(id).to_path()).is_some())
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let paths = self.list_tree(filter, ctx).await?;
        Ok(paths.into_iter().filter(|path| path.scope == ctx.scope_id).map(|path| path.id).collect())
    }

    async fn list_tree(
        &self,
        _: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let paths: Vec<_> = self.written.lock().unwrap().keys().cloned().collect();
        let within = |path: &CredentialPath| path.is_within(ctx.scope_id.as_ref());
        Ok(paths.into_iter().filter(|path| within(path) && self.visible(path).is_some()).collect())
    }

    /// Several managers use it, one after the other.
    async fn shutdown(&self) {}
}
