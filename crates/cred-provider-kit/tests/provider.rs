//! What the provider does for every backend.

#![cfg(test)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialFilter, CredentialPath, Description, Operation, PathRef, Sealed,
    StorageError, StorageErrorKind, StorageProvider, Target, Timestamp,
};
use cred_provider_kit::{AttemptError, Backend, CredentialFile, Executor, Provider, Reach, Wire, Wrote};
use cred_testing::value::{id, unscoped, value};

/// A map that repeats each path of a list and adds one of another scope, and that notes how many
/// credentials it was asked for at once.
#[derive(Debug, Default)]
struct Map {
    files: Mutex<BTreeMap<CredentialPath, CredentialFile>>,
    broken: Option<CredentialPath>,
    batches: Mutex<Vec<usize>>,
    /// What every write fails with.
    refuses: bool,
}

/// A refusal that is `Unavailable`, and nevertheless wrote nothing.
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

    fn wrote(&self) -> Wrote {
        Wrote::No
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
        wire.read(async |_| match self.broken.as_ref().map(CredentialPath::as_path_ref) == Some(path) {
            true => Err(StorageError::corrupted("broken")),
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
        _: Reach<'_>,
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
                if self.broken.as_ref() == Some(path) {
                    return Err(StorageError::corrupted("broken"));
                }
                Ok(self.files().get(path).cloned())
            })
            .await)
    }
}

fn over(map: Map) -> Provider<Map> {
    let description = Description::new("map", Duration::from_secs(30));
    Provider::new(Executor::new(description, Duration::from_secs(5)), map)
}

/// Stores `key-0` and so on, without a scope.
async fn holding(count: u32, map: Map) -> Provider<Map> {
    let provider = over(map);
    for number in 0..count {
        let Sealed { data, metadata } = value(1);
        provider.store(&id(&format!("key-{number}")), data, metadata, &unscoped()).await.unwrap();
    }
    provider
}

/// A filter that admits everything, and is not empty.
fn everything() -> CredentialFilter {
    CredentialFilter::default().with_created_after(Timestamp::from_unix_millis(0))
}

#[tokio::test]
async fn a_list_gives_each_path_in_reach_once() {
    let provider = holding(2, Map::default()).await;
    for filter in [None, Some(everything())] {
        let ids = provider.list(filter.as_ref(), &unscoped()).await.unwrap();
        assert_eq!(ids, [id("key-0"), id("key-1")], "{filter:?}");
    }
    let tenant = CredentialContext::scoped("org:a".parse().unwrap());
    assert!(provider.list(None, &tenant).await.unwrap().is_empty());
    assert!(provider.list_tree(None, &tenant).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_filtered_list_holds_so_many_credentials_at_once_and_names_the_broken_one() {
    let broken: CredentialPath = "key-0".parse().unwrap();
    let provider = holding(450, Map::default()).await;
    assert_eq!(provider.list(Some(&everything()), &unscoped()).await.unwrap().len(), 450);
    assert_eq!(*provider.backend().batches.lock().unwrap(), [400, 50]);

    let provider = holding(450, Map { broken: Some(broken.clone()), ..Map::default() }).await;
    let error = provider.list(Some(&everything()), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }));
    assert_eq!(
        (error.operation(), error.target()),
        (Some(Operation::List), Some(&Target::Credential(broken)))
    );
    assert_eq!(*provider.backend().batches.lock().unwrap(), [400], "it read on after the failure");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_knows_that_it_wrote_nothing_leaves_no_doubt() {
    let provider = over(Map { refuses: true, ..Map::default() });
    let Sealed { data, metadata } = value(1);
    let error = provider.store(&id("key"), data, metadata, &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error}");
}
