//! The operations that a storage backend implements.

use std::fmt;

use cred_core::{
    CompareAndSet, CredentialFilter, CredentialPath, PathRef, Revision, ScopeId, SoftDelete, StorageError,
    StorageResult, Versioned,
};

use crate::{CredentialFile, Provider, Wire};

/// The operations of one storage backend. [`Provider`] turns it into a
/// [`StorageProvider`](cred_core::StorageProvider).
///
/// Each method sends its requests through the [`Wire`] that it receives: [`Wire::read`] for a
/// request that changes nothing, [`Wire::write`] for one that does. `Wire` adds timeouts, retries,
/// [`InDoubt`](cred_core::StorageErrorKind::InDoubt) errors, metrics, spans and error context, so a
/// backend implements none of these.
///
/// An implementation may write `async fn` for each method.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Mutex, MutexGuard, PoisonError};
///
/// use cred_core::{CredentialFilter, CredentialPath, PathRef, StorageResult};
/// use cred_provider_kit::{Backend, CredentialFile, ListRange, Wire};
///
/// /// Stores credentials in a map.
/// #[derive(Debug, Default)]
/// struct Map(Mutex<BTreeMap<CredentialPath, Vec<u8>>>);
///
/// impl Map {
///     fn entries(&self) -> MutexGuard<'_, BTreeMap<CredentialPath, Vec<u8>>> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner)
///     }
/// }
///
/// impl Backend for Map {
///     async fn put(
///         &self,
///         wire: &mut Wire<'_>,
///         path: PathRef<'_>,
///         file: CredentialFile,
///     ) -> StorageResult<()> {
///         let envelope = &file.encode_within(wire.description(), path)?;
///         wire.write(async |_| {
///             self.entries().insert(path.to_path(), envelope.clone());
///             Ok(())
///         })
///         .await
///     }
///
///     async fn get(
///         &self,
///         wire: &mut Wire<'_>,
///         path: PathRef<'_>,
///     ) -> StorageResult<Option<CredentialFile>> {
///         wire.read(async |_| {
///             let envelope = self.entries().get(&path.to_path()).cloned();
///             envelope.map(|envelope| CredentialFile::decode(&envelope)).transpose()
///         })
///         .await
///     }
///
///     async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
///         wire.write(async |_| {
///             self.entries().remove(&path.to_path());
///             Ok(())
///         })
///         .await
///     }
///
///     async fn paths(
///         &self,
///         wire: &mut Wire<'_>,
///         _: ListRange<'_>,
///         _: Option<&CredentialFilter>,
///     ) -> StorageResult<Vec<CredentialPath>> {
///         wire.read(async |_| Ok(self.entries().keys().cloned().collect())).await
///     }
/// }
/// ```
pub trait Backend: fmt::Debug + Send + Sync + Sized + 'static {
    /// Runs at the start of each operation. Default: does nothing.
    ///
    /// A backend that must log in or check its server first does so here, once. A database that
    /// creates its tables at the first use does so here too, inside [`Wire::read`], since that may
    /// be repeated and stores no credential. The time counts towards the deadline of the operation.
    ///
    /// # Errors
    /// A failure that prevents every operation. No credential was written.
    fn prepare(&self, wire: &mut Wire<'_>) -> impl Future<Output = StorageResult<()>> + Send {
        let _ = wire;
        async { Ok(()) }
    }

    /// Checks that the backend can be used, for [`Provider::connect`]. [`prepare`](Self::prepare)
    /// runs before it. Default: no further check.
    ///
    /// # Errors
    /// The error of the backend.
    fn connect(&self, wire: &mut Wire<'_>) -> impl Future<Output = StorageResult<()>> + Send {
        let _ = wire;
        async { Ok(()) }
    }

    /// Stores a credential, replacing any existing one. The caller has checked the tags against the
    /// limits. The implementation must check the length of the data that it sends, as
    /// [`encode_within`](CredentialFile::encode_within) does.
    ///
    /// # Errors
    /// As [`StorageProvider::store`](cred_core::StorageProvider::store).
    fn put(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
    ) -> impl Future<Output = StorageResult<()>> + Send;

    /// Reads a credential; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Corrupted`](cred_core::StorageErrorKind::Corrupted) if the stored data cannot be decoded,
    /// or the error of the backend.
    fn get(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<Option<CredentialFile>>> + Send;

    /// Deletes a credential, even if its data cannot be decoded. Succeeds if the credential does
    /// not exist.
    ///
    /// # Errors
    /// The error of the backend.
    fn delete(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<()>> + Send;

    /// Returns all paths in `reach`, or an error. The result may also contain paths out of reach,
    /// and duplicates: the caller removes them. The implementation may omit paths that certainly do
    /// not match `hint`. If that costs a request for each path, leave the filtering to
    /// [`Provider`].
    ///
    /// # Errors
    /// The error of the backend.
    fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        hint: Option<&CredentialFilter>,
    ) -> impl Future<Output = StorageResult<Vec<CredentialPath>>> + Send;

    /// Reports whether a credential is stored, even if its data cannot be decoded. Default: calls
    /// [`get`](Self::get).
    ///
    /// # Errors
    /// The error of the backend.
    fn exists(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<bool>> + Send {
        async move {
            match self.get(wire, path).await {
                Ok(file) => Ok(file.is_some()),
                Err(error) if error.is_corrupted() => Ok(true),
                Err(error) => Err(error),
            }
        }
    }

    /// Reads several credentials. Returns exactly `paths.len()` results, in the order of `paths`. A
    /// missing or corrupted credential does not affect the results of the others.
    ///
    /// Default: calls [`get`](Self::get) for each path in sequence. [`Wire::read_each`] reads
    /// several concurrently. A list with a filter reads the listed credentials through this method,
    /// and so does `retrieve_many` if the [`batch`](cred_core::Description::batch) of the
    /// description is above 1.
    ///
    /// # Errors
    /// An error of the backend that fails the whole call.
    fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> impl Future<Output = StorageResult<Vec<StorageResult<Option<CredentialFile>>>>> + Send {
        async move {
            let mut results = Vec::with_capacity(paths.len());
            for path in paths {
                results.push(match self.get(wire, path.as_path_ref()).await {
                    Err(error) if !error.is_corrupted() => return Err(error),
                    answer => answer,
                });
            }
            Ok(results)
        }
    }

    /// Returns the paths in `reach` whose credentials match `filter`. Default: calls
    /// [`paths`](Self::paths), and reads each credential with [`get_each`](Self::get_each).
    /// Override it if the backend returns names and contents in one request.
    ///
    /// # Errors
    /// [`Corrupted`](cred_core::StorageErrorKind::Corrupted) if the filter needs a credential that
    /// cannot be decoded; name it with [`Wire::locate`]. Otherwise the error of the backend.
    fn matching(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        filter: &CredentialFilter,
    ) -> impl Future<Output = StorageResult<Vec<CredentialPath>>> + Send {
        async move {
            let mut paths = self.paths(wire, reach, Some(filter)).await?;
            reach.retain_unique(&mut paths);
            let mut matching = Vec::new();
            for paths in paths.chunks(FILTER_CHUNK_LEN) {
                let files = self.get_each(wire, paths).await?;
                if files.len() != paths.len() {
                    let (files, paths) = (files.len(), paths.len());
                    return Err(StorageError::other(format!(
                        "the backend returned {files} results for {paths} paths"
                    )));
                }
                for (path, file) in paths.iter().zip(files) {
                    match file {
                        Ok(Some(file)) if filter.matches(&file.metadata) => matching.push(path.clone()),
                        // It does not match, or was deleted since the names were read.
                        Ok(_) => {}
                        Err(error) => return Err(wire.locate(error, path.clone())),
                    }
                }
            }
            Ok(matching)
        }
    }

    /// Stops background tasks, and releases resources in the backend (a login, a lease). Called at
    /// each shutdown of the provider, even after a successful one. Default: does nothing.
    ///
    /// # Errors
    /// A resource could not be released. The error is logged.
    fn shutdown(&self, wire: &mut Wire<'_>) -> impl Future<Output = StorageResult<()>> + Send {
        let _ = wire;
        async { Ok(()) }
    }

    /// Returns `Some(provider)` if the backend is [`Conditional`], so that it offers
    /// compare-and-set. The answer must not change during the lifetime of the provider. Default:
    /// `None`.
    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        let _ = provider;
        None
    }

    /// Returns `Some(provider)` if the backend is [`Recoverable`], so that it offers recovery. The
    /// answer must not change during the lifetime of the provider. Default: `None`.
    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        let _ = provider;
        None
    }
}

/// A backend with conditional writes: they succeed only if no other client has written since.
pub trait Conditional: Backend {
    /// Reads a credential with its revision; `None` if it does not exist.
    ///
    /// # Errors
    /// As [`Backend::get`].
    fn get_versioned(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<Option<Versioned<CredentialFile>>>> + Send;

    /// Stores a credential only if the stored revision is `expected`, or with `None`, only if
    /// nothing is stored. Returns the new revision.
    ///
    /// # Errors
    /// As [`CompareAndSet::store_if`].
    fn put_if(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        expected: Option<&Revision>,
    ) -> impl Future<Output = StorageResult<Revision>> + Send;
}

/// A backend that keeps deleted credentials for a time.
pub trait Recoverable: Backend {
    /// Restores a deleted credential unchanged.
    ///
    /// # Errors
    /// As [`SoftDelete::recover`].
    fn recover(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<()>> + Send;

    /// Removes a deleted credential permanently.
    ///
    /// # Errors
    /// As [`SoftDelete::purge`].
    fn purge(&self, wire: &mut Wire<'_>, path: PathRef<'_>)
    -> impl Future<Output = StorageResult<()>> + Send;

    /// Returns the paths of the deleted credentials in `reach`, by the rules of [`Backend::paths`].
    ///
    /// # Errors
    /// The error of the backend.
    fn deleted(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
    ) -> impl Future<Output = StorageResult<Vec<CredentialPath>>> + Send;
}

/// Number of credentials that a filtered list reads at a time. Without this bound, it would keep
/// all contents in memory, and continue to read after a failure. A multiple of the 16 and the 100
/// credentials that backends read at a time.
const FILTER_CHUNK_LEN: usize = 400;

/// The paths that a list covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListRange<'a> {
    /// Paths of exactly this scope; `None`: paths without a scope.
    Scope(Option<&'a ScopeId>),
    /// Paths of this scope and of all scopes below it; `None`: all paths.
    Tree(Option<&'a ScopeId>),
}

impl<'a> ListRange<'a> {
    /// Returns the scope at which the range begins.
    #[must_use]
    pub const fn scope(self) -> Option<&'a ScopeId> {
        match self {
            Self::Scope(scope) | Self::Tree(scope) => scope,
        }
    }

    /// Reports whether a path is in reach.
    #[must_use]
    pub fn contains(self, path: &CredentialPath) -> bool {
        match self {
            Self::Scope(scope) => path.scope.as_ref() == scope,
            Self::Tree(scope) => path.is_within(scope),
        }
    }

    /// Removes duplicates and the paths out of reach, and sorts the rest.
    pub(crate) fn retain_unique(self, paths: &mut Vec<CredentialPath>) {
        paths.retain(|path| self.contains(path));
        paths.sort_unstable();
        paths.dedup();
    }
}
