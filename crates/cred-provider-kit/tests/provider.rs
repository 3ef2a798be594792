//! The parts of a provider that are the same for every backend.

#![cfg(test)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialFilter, CredentialPath, Description, Operation, PathRef, Sealed,
    StorageError, StorageErrorKind, StorageProvider, Target, Timestamp,
};
use cred_provider_kit::{
    AttemptError, Backend, CredentialFile, Executor, ListRange, Provider, Wire, WriteEffect,
};
use cred_testing::value::{id, unscoped, value};

/// A map that lists each path twice and adds a path of another scope, and that records how many
/// credentials each `get_each` requests.
#[derive(Debug, Default)]
struct Map {
    files: Mutex<BTreeMap<CredentialPath, CredentialFile>>,
    corrupted: Option<CredentialPath>,
    batches: Mutex<Vec<usize>>,
    /// Whether every write is refused, with [`Standby`].
    refuses: bool,
}

/// A refusal that is `Unavailable`, but wrote nothing.
struct Standby(StorageError);

impl From<StorageError> for Standby {
    fn from(error: StorageError) -> Self {
        Self(error)
    }
}

impl AttemptError for Standby {
    fn storage_error(&self) -> &StorageError {
        &self.0
    }

    fn write_effect(&self) -> WriteEffect {
        WriteEffect::NotWritten
    }
}

impl Map {
    fn files(&self) -> MutexGuard<'_, BTreeMap<CredentialPath, CredentialFile>> {
        self.files.lock().unwrap()
    }
}

impl Backend for Map {
    async fn put(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
    ) -> Result<(), StorageError> {
        let answer = wire.write(async |_| match self.refuses {
            true => Err(Standby(StorageError::unavailable("a standby"))),
            false => {
                self.files().insert(path.to_path(), file.clone());
                Ok(())
            }
        });
        answer.await.map_err(|Standby(error)| error)
    }

    async fn get(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> Result<Option<CredentialFile>, StorageError> {
        wire.read(async |_| match self.corrupted.as_ref().map(CredentialPath::as_path_ref) == Some(path) {
            true => Err(StorageError::corrupted("corrupted")),
            false => Ok(self.files().get(&path.to_path()).cloned()),
        })
        .await
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> Result<(), StorageError> {
        wire.write(async |_| {
            self.files().remove(&path.to_path());
            Ok(())
        })
        .await
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        _: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        wire.read(async |_| {
            let mut paths: Vec<_> = self.files().keys().cloned().collect();
            paths.extend(paths.clone());
            paths.push("org:foreign/key".parse().unwrap());
            Ok(paths)
        })
        .await
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> Result<Vec<Result<Option<CredentialFile>, StorageError>>, StorageError> {
        self.batches.lock().unwrap().push(paths.len());
        Ok(wire
            .read_each(paths, NonZeroUsize::MIN, async |path| {
                if self.corrupted.as_ref() == Some(path) {
                    return Err(StorageError::corrupted("corrupted"));
                }
                Ok(self.files().get(path).cloned())
            })
            .await)
    }
}

fn provider_of(map: Map) -> Provider<Map> {
    let description = Description::new("map", Duration::from_secs(30));
    Provider::new(Executor::new(description, Duration::from_secs(5)), map)
}

/// Creates a provider with the unscoped credentials `key-0` to `key-{count - 1}`.
async fn provider_with(count: u32, map: Map) -> Provider<Map> {
    let provider = provider_of(map);
    for number in 0..count {
        let Sealed { data, metadata } = value(1);
        provider.store(&id(&format!("key-{number}")), data, metadata, &unscoped()).await.unwrap();
    }
    provider
}

/// A filter that matches everything, and is not empty.
fn matches_everything() -> CredentialFilter {
    CredentialFilter::default().with_created_after(Timestamp::from_unix_millis(0))
}

#[tokio::test]
async fn a_list_returns_each_path_in_reach_once() {
    let provider = provider_with(2, Map::default()).await;
    for filter in [None, Some(matches_everything())] {
        let ids = provider.list(filter.as_ref(), &unscoped()).await.unwrap();
        assert_eq!(ids, [id("key-0"), id("key-1")], "{filter:?}");
    }
    let tenant = CredentialContext::scoped("org:a".parse().unwrap());
    assert!(provider.list(None, &tenant).await.unwrap().is_empty());
    assert!(provider.list_tree(None, &tenant).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_filtered_list_reads_at_most_400_credentials_at_a_time_and_names_the_corrupted_one() {
    let corrupted: CredentialPath = "key-0".parse().unwrap();
    let provider = provider_with(450, Map::default()).await;
    assert_eq!(provider.list(Some(&matches_everything()), &unscoped()).await.unwrap().len(), 450);
    assert_eq!(*provider.backend().batches.lock().unwrap(), [400, 50]);

    let provider = provider_with(450, Map { corrupted: Some(corrupted.clone()), ..Map::default() }).await;
    let error = provider.list(Some(&matches_everything()), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }));
    assert_eq!(
        (error.operation(), error.target()),
        (Some(Operation::List), Some(&Target::Credential(corrupted)))
    );
    assert_eq!(*provider.backend().batches.lock().unwrap(), [400], "nothing is read after the failure");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_reports_that_it_wrote_nothing_has_a_known_outcome() {
    let provider = provider_of(Map { refuses: true, ..Map::default() });
    let Sealed { data, metadata } = value(1);
    let error = provider.store(&id("key"), data, metadata, &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error}");
}
