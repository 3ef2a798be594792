//! The five operations of a flawed provider, and its `list_tree` and `retrieve_many`.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, KeyId, Operation, Sealed, SoftDelete, StorageError, StorageErrorKind,
    StorageMetrics, StorageProvider, Target, async_trait,
};

use crate::bench::{Flawed, once, other, pause};
use crate::contents::{admits, apply_flaw, has_non_ascii};
use crate::flaw::Flaw;
use crate::naming::{place_of, refuses};

#[async_trait]
impl StorageProvider for Flawed {
    fn describe(&self) -> &Description {
        let stored = self.shared.stored_once.load(Ordering::SeqCst);
        if self.is(Flaw::DescriptionChanges) && stored { &self.other } else { &self.description }
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.shared.stored_once.store(true, Ordering::SeqCst);
        let stored = Sealed { data, metadata };
        if self.is(Flaw::StallIsOk) && self.is_stalled() {
            return Ok(());
        }
        self.wait_for_stall_before_write(Operation::Store, &path, Some(stored.clone())).await?;
        self.load().await;
        let result = self.write(&path, stored).await;
        self.with_context(result, Operation::Store, &path)
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        let path = ctx.path(id).to_path();
        self.wait_for_stall(Operation::Retrieve, path.clone()).await?;
        self.load().await;
        let result = self.read(&path).await;
        self.with_context(result, Operation::Retrieve, &path)
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.wait_for_stall_before_write(Operation::Delete, &path, None).await?;
        let result = self.erase(&path).await;
        self.with_context(result, Operation::Delete, &path)
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let path = ctx.path(id).to_path();
        if self.is(Flaw::StallIsEmpty) && self.is_stalled() {
            return Ok(false);
        }
        self.wait_for_stall(Operation::Exists, path.clone()).await?;
        let result = self.look_up(&path).await;
        self.with_context(result, Operation::Exists, &path)
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        self.wait_for_stall(Operation::List, Target::Scope(ctx.scope_id.clone())).await?;
        let here = ctx.scope_id.as_ref();
        let below = |path: &CredentialPath| {
            here.is_none_or(|here| path.scope.as_ref().is_some_and(|scope| here.contains(scope)))
        };
        let belongs = |path: &CredentialPath| match self.flaw {
            Some(Flaw::ListsTheWholeTree) => below(path),
            Some(Flaw::ListsByScopePrefix) => match (here, &path.scope) {
                (Some(here), Some(scope)) => {
                    scope.as_str().starts_with(here.as_str()) && !scope.as_str().contains('/')
                }
                (here, scope) => here == scope.as_ref(),
            },
            Some(Flaw::ListsParentsToo) => {
                path.scope.as_ref() == here
                    || here.is_some_and(|here| here.parent().is_some() && path.scope == here.parent())
            }
            _ => path.scope.as_ref() == here,
        };
        if self.is(Flaw::ListsTooSlowly) {
            tokio::time::sleep(self.description.operation_timeout + Duration::from_secs(10)).await;
        }
        let mut names = self.names(Operation::List, filter, belongs, ctx).await?;
        match self.flaw {
            Some(Flaw::ListsTwice) => names.extend(names.clone().into_iter().skip(1)),
            Some(Flaw::ListsTheFirstPageOnly) => names.truncate(50),
            Some(Flaw::EmptyScopeIsNotFound) if names.is_empty() => {
                let here = Target::Scope(ctx.scope_id.clone());
                return Err(StorageError::from(StorageErrorKind::NotFound).at(
                    "reference",
                    Operation::List,
                    here,
                ));
            }
            _ => {}
        }
        Ok(names.into_iter().map(|path| path.id).collect())
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.wait_for_stall(Operation::ListTree, Target::Scope(ctx.scope_id.clone())).await?;
        let here = ctx.scope_id.as_ref();
        let belongs = |path: &CredentialPath| match (here, &path.scope) {
            (None, scope) => !self.is(Flaw::TreeWithoutTheRoot) || scope.is_some(),
            (Some(_), None) => false,
            (Some(here), Some(scope)) => match self.flaw {
                Some(Flaw::TreeByPrefix) => scope.as_str().starts_with(here.as_str()),
                Some(Flaw::TreeWithoutItsOwnScope) => here != scope && here.contains(scope),
                _ => here.contains(scope),
            },
        };
        let filter = filter.filter(|_| !self.is(Flaw::TreeIgnoresFilters));
        let mut names = self.names(Operation::ListTree, filter, belongs, ctx).await?;
        match self.flaw {
            Some(Flaw::TreeTwice) => names.extend(names.clone().into_iter().skip(1)),
            Some(Flaw::TreesTheFirstPageOnly) => names.truncate(50),
            Some(Flaw::TreeLosesCase) => {
                names.iter_mut().for_each(|name| *name = name.to_string().to_lowercase().parse().unwrap());
            }
            _ => {}
        }
        Ok(names)
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Sealed, StorageError>> {
        let unscoped = CredentialContext::unscoped();
        let ctx = if self.is(Flaw::ManyIgnoresTheScope) { &unscoped } else { ctx };
        let mut asked = ids.to_vec();
        match self.flaw {
            Some(Flaw::ManySortsIds) => asked.sort(),
            Some(Flaw::ManyDropsDuplicates) => {
                asked.sort();
                asked.dedup();
                asked.sort_by_key(|id| ids.iter().position(|asked| asked == id));
            }
            Some(Flaw::ManyOfNoIdsIsAll) if ids.is_empty() => {
                asked = self.list(None, ctx).await.unwrap_or_default()
            }
            Some(Flaw::ManyAnswersTheFirstBatchOnly) => asked.truncate(20),
            _ => {}
        }
        let mut answers = Vec::new();
        for id in &asked {
            answers.push(self.retrieve(id, ctx).await);
        }
        match self.flaw {
            Some(Flaw::ManyDropsTheMissing) => {
                answers.retain(|answer| !answer.as_ref().is_err_and(StorageError::is_not_found))
            }
            Some(Flaw::ManyFailsAltogether) => {
                if let Some(error) = answers.iter().find_map(|answer| answer.as_ref().err().cloned()) {
                    answers.iter_mut().for_each(|answer| *answer = Err(error.clone()));
                }
            }
            Some(Flaw::ManyNamesNoPath) => {
                let bare = |error: StorageError| StorageError::from(error.kind().clone());
                answers = answers.into_iter().map(|answer| answer.map_err(bare)).collect();
            }
            Some(Flaw::CountsManyAsOne) => {
                if let (Some(metrics), true) = (self.inner.metrics(), ids.len() > 1) {
                    metrics.retrieve_count.fetch_sub(ids.len() as u64 - 1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        answers
    }

    async fn shutdown(&self) {
        let before = self.shared.shut.fetch_add(1, Ordering::SeqCst);
        assert!(!(self.is(Flaw::PanicsAtTheSecondShutdown) && before > 0), "already shut down");
        if !self.is(Flaw::WorksAfterShutdown) {
            self.inner.shutdown().await;
        }
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        self.inner.metrics()
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        let late = self.is(Flaw::AbilitiesAppearLate) && !self.shared.stored_once.load(Ordering::SeqCst);
        (!self.is(Flaw::HasNoCompareAndSet) && !late).then_some(self as _)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        (!self.is(Flaw::HasNoSoftDelete)).then_some(self as _)
    }
}

impl Flawed {
    async fn load(&self) {
        if self.is(Flaw::HangsUnderLoad) {
            if self.shared.in_flight.fetch_add(1, Ordering::SeqCst) > 10 {
                pending::<()>().await;
            }
            pause().await;
            self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        if self.is(Flaw::KeepsItsLockWhenDropped) {
            self.shared.writers.acquire().await.unwrap().forget();
            pause().await;
            self.shared.writers.add_permits(1);
        }
    }

    async fn write(&self, path: &CredentialPath, given: Sealed) -> Result<(), StorageError> {
        let place = place_of(self.flaw, path);
        if refuses(self.flaw, path) {
            return Err(StorageError::invalid_request("this name is reserved by the backend"));
        }
        let stored = apply_flaw(self.flaw, given.clone())?;
        {
            let mut notes = self.notes();
            notes.spelled.insert(place.clone(), path.clone());
            notes.first.entry(place.clone()).or_insert_with(|| given.clone());
            notes.absent.remove(path);
            *notes.revisions.entry(place.clone()).or_default() += 1;
        }
        let old = match self.flaw {
            Some(
                Flaw::StoreReadsFirst
                | Flaw::WritesMetadataAfterData
                | Flaw::InterleavesWriters
                | Flaw::RefusesTheSameValue
                | Flaw::SkipsTheSameData
                | Flaw::FirstStoreInParts,
            ) => self.uncounted_read(&place).await,
            _ => Err(StorageErrorKind::NotFound.into()),
        };
        match self.flaw {
            Some(Flaw::StoreReadsFirst) if old.as_ref().is_err_and(|error| !error.is_not_found()) => {
                return old.map(drop);
            }
            Some(Flaw::WritesARefusedNonAsciiTag) if has_non_ascii(&stored.metadata) => {
                self.put(&place, stored).await?;
                return Err(StorageError::invalid_request("odd tags"));
            }
            Some(Flaw::WritesMetadataAfterData) => {
                if let Ok(Sealed { metadata, .. }) = old {
                    self.put(&place, Sealed::new(stored.data.clone(), metadata)).await?;
                    pause().await;
                }
            }
            Some(Flaw::DeletesBeforeWriting) => {
                self.del(&place).await?;
                pause().await;
            }
            Some(Flaw::UnlistsWhileWriting) => {
                self.notes().absent.insert(path.clone());
                pause().await;
                self.notes().absent.remove(path);
            }
            Some(Flaw::RewritesTheWholeMap) => {
                let before = self.all().await?;
                pause().await;
                for path in self.all().await?.iter().filter(|path| !before.contains(path)) {
                    self.del(path).await?;
                }
            }
            Some(Flaw::InterleavesWriters) => {
                let metadata = old.map_or(stored.metadata.clone(), |old| old.metadata);
                self.put(&place, Sealed::new(stored.data.clone(), metadata)).await?;
                for _ in 0..stored.data.ciphertext.len() % 5 {
                    pause().await;
                }
                if let Ok(Sealed { data, .. }) = self.get(&place).await {
                    return self.put(&place, Sealed::new(data, stored.metadata)).await;
                }
            }
            Some(Flaw::RefusesDeletedNames) if self.notes().deleted.contains_key(path) => {
                return Err(StorageError::conflict("that name was deleted"));
            }
            Some(Flaw::RestoresDeletedValues) => {
                let deleted = self.notes().deleted.remove(path);
                if let Some(deleted) = deleted {
                    return self.put(&place, deleted).await;
                }
            }
            Some(Flaw::RefusesTheSameValue) if old.as_ref().is_ok_and(|old| *old == stored) => {
                return Err(StorageError::conflict("it is already stored"));
            }
            Some(Flaw::SkipsTheSameData) if old.as_ref().is_ok_and(|old| old.data == stored.data) => {
                return Ok(());
            }
            Some(Flaw::ListsTemporaries) => {
                let temporary = CredentialPath::new(path.scope.clone(), "tmp-0".parse().unwrap());
                self.put(&temporary, stored.clone()).await?;
                pause().await;
                self.del(&temporary).await?;
            }
            Some(Flaw::FirstStoreInParts) if old.is_err() => {
                let mut half = stored.clone();
                half.data.ciphertext.truncate(stored.data.ciphertext.len() / 2);
                self.put(&place, half).await?;
                pause().await;
            }
            Some(Flaw::StoresInTheParentScopeToo) => {
                if let Some(parent) = path.scope.as_ref().and_then(cred_core::ScopeId::parent) {
                    self.put(&CredentialPath::new(Some(parent), path.id.clone()), stored.clone()).await?;
                }
            }
            Some(Flaw::CachesForever) => {
                self.cache.lock().unwrap().entry(path.clone()).or_insert_with(|| Ok(stored.clone()));
            }
            Some(Flaw::CachesDespiteOtherClients) => {
                self.cache.lock().unwrap().insert(path.clone(), Ok(stored.clone()));
            }
            Some(Flaw::KeepsDeletedNextToStored) => {}
            _ => self.notes().deleted.remove(path).map_or((), drop),
        }
        match (self.put(&place, stored.clone()).await, self.flaw) {
            (Err(error), Some(Flaw::ErasesOnRefusal)) if !error.may_have_written() => {
                self.del(&place).await?;
                Err(error)
            }
            (Err(error), Some(Flaw::CountsTheCiphertextOnly)) => Err(match error.kind() {
                StorageErrorKind::TooLarge { limit, .. } => {
                    StorageErrorKind::TooLarge { size: stored.data.ciphertext.len(), limit: *limit }.into()
                }
                _ => error,
            }),
            (Err(error), Some(Flaw::OutageIsOk))
                if matches!(error.kind(), StorageErrorKind::Unavailable { .. }) =>
            {
                Ok(())
            }
            (Err(error), Some(Flaw::OutageWritesAndReportsNoWrite))
                if matches!(error.kind(), StorageErrorKind::Unavailable { .. }) =>
            {
                self.inner.set_outage(false);
                let _ = self.put(&place, stored).await;
                self.inner.set_outage(true);
                Err(StorageErrorKind::Unreachable { reason: "down".into() }.into())
            }
            (result, _) => result,
        }
    }

    async fn read(&self, path: &CredentialPath) -> Result<Sealed, StorageError> {
        let place = place_of(self.flaw, path);
        if matches!(self.flaw, Some(Flaw::CachesForever | Flaw::CachesDespiteOtherClients)) {
            if let Some(cached) = self.cache.lock().unwrap().get(path) {
                return cached.clone();
            }
        }
        let read = self.get(&place).await;
        let absent = read.as_ref().is_err_and(StorageError::is_not_found);
        match self.flaw {
            Some(Flaw::CachesForever | Flaw::CachesDespiteOtherClients) if read.is_ok() => {
                self.cache.lock().unwrap().insert(path.clone(), read.clone());
            }
            Some(Flaw::InheritsFromTheParentScope) if absent => {
                if let Some(parent) = path.scope.as_ref().and_then(cred_core::ScopeId::parent) {
                    return self.get(&CredentialPath::new(Some(parent), path.id.clone())).await;
                }
            }
            Some(Flaw::FallsBackToTheRoot) if absent => {
                return self.get(&CredentialPath::new(None, path.id.clone())).await;
            }
            Some(Flaw::UnknownScopeIsAnError)
                if absent
                    && path.scope.is_some()
                    && !self.all().await?.iter().any(|other| other.scope == path.scope) =>
            {
                return Err(StorageError::other("no such directory"));
            }
            Some(Flaw::ReadsMakeRevisions) => {
                if let Ok(stored) = &read {
                    self.put(&place, stored.clone()).await?;
                }
            }
            Some(Flaw::ReadsCreate) if absent => {
                self.put(&place, blank()).await?;
            }
            Some(Flaw::ReadsChangeMetadata) => {
                if let Ok(Sealed { data, mut metadata }) = read.clone() {
                    metadata.last_modified = metadata.last_modified.saturating_add(Duration::from_secs(1));
                    self.put(&place, Sealed { data, metadata }).await?;
                }
            }
            Some(Flaw::CorruptedIsDecoded) if read.is_err() && !absent => return Ok(blank()),
            Some(Flaw::OutageIsEmpty)
                if matches!(
                    read.as_ref().map_err(StorageError::kind),
                    Err(StorageErrorKind::Unavailable { .. })
                ) =>
            {
                return Err(StorageErrorKind::NotFound.into());
            }
            Some(Flaw::ReadsRemoveTemporarily) => {
                if let Ok(stored) = &read {
                    self.del(&place).await?;
                    pause().await;
                    self.put(&place, stored.clone()).await?;
                }
            }
            Some(Flaw::CountsAbsenceAsAnError) if absent => {
                if let Some(metrics) = self.inner.metrics() {
                    metrics.error_count.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        read
    }

    async fn erase(&self, path: &CredentialPath) -> Result<(), StorageError> {
        let place = place_of(self.flaw, path);
        let old = self.uncounted_read(&place).await;
        if let Ok(stored) = &old {
            self.notes().deleted.insert(path.clone(), stored.clone());
        }
        if !self.is(Flaw::ExistsIsCached) {
            self.cache.lock().unwrap().remove(path);
        }
        match self.flaw {
            Some(Flaw::DeletesChildScopesToo) => {
                for other in self.all().await? {
                    if other.id == path.id
                        && path
                            .scope
                            .as_ref()
                            .is_some_and(|here| other.scope.as_ref().is_some_and(|it| here.contains(it)))
                    {
                        self.del(&other).await?;
                    }
                }
            }
            Some(Flaw::DeletesIdsWithThePrefix) => {
                for other in self.all().await? {
                    if other.scope == path.scope && other.id.as_str().starts_with(path.id.as_str()) {
                        self.del(&other).await?;
                    }
                }
            }
            Some(Flaw::DeleteOfAbsentIsNotFound) if old.as_ref().is_err_and(StorageError::is_not_found) => {
                return old.map(drop);
            }
            Some(Flaw::DeleteChecksFirst) if self.has(&place).await? => {
                pause().await;
                if !self.has(&place).await? {
                    return Err(StorageErrorKind::NotFound.into());
                }
            }
            Some(Flaw::DeleteReadsContents) if old.as_ref().is_err_and(|error| !error.is_not_found()) => {
                return old.map(drop);
            }
            Some(Flaw::DeleteDoesNothing) => return Ok(()),
            Some(Flaw::DeletesInParts) => {
                if let Ok(mut half) = old {
                    half.data.ciphertext.clear();
                    self.put(&place, half).await?;
                    pause().await;
                }
            }
            Some(Flaw::RevisionsStartOverAfterDelete) => {
                self.notes().revisions.remove(&place);
            }
            _ => {}
        }
        self.del(&place).await
    }

    async fn look_up(&self, path: &CredentialPath) -> Result<bool, StorageError> {
        let place = place_of(self.flaw, path);
        match self.flaw {
            Some(Flaw::ExistsIsAlwaysTrue) => Ok(true),
            Some(Flaw::ExistsReadsContents) => match self.get(&place).await {
                Err(error) if error.is_not_found() => Ok(false),
                read => read.map(|_| true),
            },
            Some(Flaw::ExistsIsCached) => {
                let key = CredentialPath::new(path.scope.clone(), path.id.clone());
                let there = self.has(&place).await?;
                let seen = self.cache.lock().unwrap().contains_key(&key);
                if there {
                    self.cache.lock().unwrap().insert(key, Ok(blank()));
                }
                Ok(there || seen)
            }
            Some(Flaw::ExistsIncludesChildScopes) => {
                let there = |other: &CredentialPath| match (&path.scope, &other.scope) {
                    (Some(here), Some(scope)) => here.contains(scope) && other.id == path.id,
                    (here, scope) => here == scope && other.id == path.id,
                };
                Ok(self.all().await?.iter().any(there))
            }
            Some(Flaw::ExistsCreates) => {
                let there = self.has(&place).await?;
                if !there && once(&self.shared.busy) {
                    self.put(&CredentialPath::new(path.scope.clone(), "seen".parse().unwrap()), blank())
                        .await?;
                }
                Ok(there)
            }
            Some(Flaw::OutageIsEmpty) => Ok(self.has(&place).await.unwrap_or_default()),
            _ => self.has(&place).await,
        }
    }

    async fn names(
        &self,
        operation: Operation,
        filter: Option<&CredentialFilter>,
        belongs: impl Fn(&CredentialPath) -> bool + Send + Sync,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let filter = filter.filter(|filter| !filter.is_empty());
        let scope = Target::Scope(ctx.scope_id.clone());
        let fails = |error: StorageError, target: Target| match self.flaw {
            Some(Flaw::ErrorsNameNothing) => StorageError::from(error.kind().clone()),
            Some(Flaw::ErrorsNameAnotherOperation) => {
                StorageError::from(error.kind().clone()).at("reference", Operation::Connect, target)
            }
            _ => StorageError::from(error.kind().clone()).at("reference", operation, target),
        };
        let places = self.all().await;
        let places = match places {
            Err(_) if self.is(Flaw::OutageIsEmpty) => return Ok(Vec::new()),
            Err(error) => return Err(fails(error, scope)),
            Ok(places) => places,
        };
        let mut names = Vec::new();
        for (index, place) in places.iter().enumerate() {
            if self.is(Flaw::PagesByOffset) && index % 5 == 4 {
                pause().await;
            }
            let path = {
                let notes = self.notes();
                let path = notes.spelled.get(place).unwrap_or(place);
                if !belongs(path) || notes.absent.contains(path) {
                    continue;
                }
                path.clone()
            };
            if self.is(Flaw::ListFailsOnVanishedCredentials) {
                pause().await;
                if self.get(place).await.is_err_and(|error| error.is_not_found()) {
                    return Err(fails(StorageErrorKind::NotFound.into(), scope));
                }
            }
            if filter.is_none() && !self.is(Flaw::ListReadsContents) {
                names.push(path);
                continue;
            }
            let read = match self.is(Flaw::FiltersByTheFirstMetadata) {
                true => self.notes().first.get(place).cloned().ok_or_else(|| other("not stored").into()),
                false => self.uncounted_read(place).await,
            };
            match (read, filter) {
                (Err(_), _) if self.is(Flaw::FilterSkipsCorrupted) => {}
                (Err(error), _) if self.is(Flaw::FilterNamesNoPath) => return Err(fails(error, scope)),
                (Err(error), _) => {
                    let failed: Result<(), _> = self.with_context(Err(error), operation, &path);
                    failed?;
                }
                (Ok(Sealed { metadata, .. }), Some(filter)) if !admits(self.flaw, filter, &metadata) => {}
                (Ok(_), _) => names.push(path),
            }
        }
        if self.is(Flaw::DeleteLeavesTheNameInLists) {
            let left: Vec<_> = self.notes().deleted.keys().filter(|path| belongs(path)).cloned().collect();
            names.extend(left);
        }
        if self.is(Flaw::PagesByOffset) {
            // Later pages are read now, from the same offset.
            let now = self.uncounted().await?;
            let now: Vec<_> = now.into_iter().filter(&belongs).collect();
            if filter.is_none() && names.len() > 5 {
                names = names.iter().take(5).cloned().chain(now.into_iter().skip(5)).collect();
            }
        }
        Ok(names)
    }

    /// Lists the tree without counting it in the metrics.
    async fn uncounted(&self) -> Result<Vec<CredentialPath>, StorageError> {
        let names = self.all().await;
        if let Some(metrics) = self.inner.metrics() {
            metrics.list_count.fetch_sub(1, Ordering::Relaxed);
        }
        names
    }

    async fn uncounted_read(&self, place: &CredentialPath) -> Result<Sealed, StorageError> {
        let read = self.get(place).await;
        if let Some(metrics) = self.inner.metrics() {
            metrics.retrieve_count.fetch_sub(1, Ordering::Relaxed);
        }
        read
    }
}

/// A value that was never stored.
pub(crate) fn blank() -> Sealed {
    let key = KeyId::new("blank").unwrap();
    let data = EncryptedData::new(key, [0; 32], [0; 32], [0; 12], vec![0], [0; 16]);
    Sealed::new(data, CredentialMetadata::default())
}
