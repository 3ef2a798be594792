//! What a storage backend does, in its own terms.

use std::fmt;

use cred_core::{
    CompareAndSet, CredentialFilter, CredentialPath, PathRef, Revision, ScopeId, SoftDelete, StorageError,
    StorageResult, Versioned,
};

use crate::{CredentialFile, Provider, Wire};

/// A storage backend, as far as it differs from others. [`Provider`] makes a
/// [`StorageProvider`](cred_core::StorageProvider) of it.
///
/// Each method makes its requests through the [`Wire`] that it is given: [`Wire::read`] for a
/// request that changes nothing, [`Wire::write`] for one that does. Timeouts, retries, doubt,
/// metrics, spans and the context of errors are there, and in no backend.
///
/// An implementation may write `async fn` for each method.
pub trait Backend: fmt::Debug + Send + Sync + Sized + 'static {
    /// Called at the begin of each operation. A backend that must log in or look at its server
    /// first does so here, once. So does a database that creates its tables at the first use:
    /// inside [`Wire::read`], since it may be repeated and stores no credential. It counts towards
    /// the time of the operation. Default: nothing.
    ///
    /// # Errors
    /// What keeps every operation from its work. No credential was written.
    fn prepare(&self, wire: &mut Wire<'_>) -> impl Future<Output = StorageResult<()>> + Send {
        let _ = wire;
        async { Ok(()) }
    }

    /// Looks whether the backend can be used, for [`Provider::connect`]. Default: nothing more than
    /// [`prepare`](Self::prepare), which comes before it.
    ///
    /// # Errors
    /// What the backend refuses.
    fn connect(&self, wire: &mut Wire<'_>) -> impl Future<Output = StorageResult<()>> + Send {
        let _ = wire;
        async { Ok(()) }
    }

    /// Stores a credential, in the place of the one that may be there. Its tags fit into the
    /// limits; the length of what is sent is checked here, as
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

    /// Reads a credential; `None`: it is not there.
    ///
    /// # Errors
    /// [`Corrupted`](cred_core::StorageErrorKind::Corrupted) for what cannot be read, or what the
    /// backend refuses.
    fn get(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<Option<CredentialFile>>> + Send;

    /// Deletes a credential, readable or not. That it is not there is no error.
    ///
    /// # Errors
    /// What the backend refuses.
    fn delete(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<()>> + Send;

    /// The paths in reach: all of them, or an error. More than those, and one more than once, does
    /// no harm. Paths that certainly do not match the `hint` can be left out; where that costs a
    /// request for each path, leave it to the provider.
    ///
    /// # Errors
    /// What the backend refuses.
    fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
        hint: Option<&CredentialFilter>,
    ) -> impl Future<Output = StorageResult<Vec<CredentialPath>>> + Send;

    /// Whether a credential is stored, readable or not. Default: by [`get`](Self::get).
    ///
    /// # Errors
    /// What the backend refuses.
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

    /// Reads several credentials: exactly `paths.len()` answers, in their order. One that is
    /// missing or corrupted fails alone.
    ///
    /// Default: [`get`](Self::get) for one after the other. [`Wire::read_each`] reads some at once.
    /// A list with a filter reads what it lists through this method, and so does `retrieve_many`
    /// where the [`batch`](cred_core::Description::batch) of the description is above 1.
    ///
    /// # Errors
    /// What the backend refuses for all of them.
    fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> impl Future<Output = StorageResult<Vec<StorageResult<Option<CredentialFile>>>>> + Send {
        async move {
            let mut answers = Vec::with_capacity(paths.len());
            for path in paths {
                answers.push(match self.get(wire, path.as_path_ref()).await {
                    Err(error) if !error.is_corrupted() => return Err(error),
                    answer => answer,
                });
            }
            Ok(answers)
        }
    }

    /// The paths in reach whose credentials the filter admits. Default: those of
    /// [`paths`](Self::paths), each looked into by [`get_each`](Self::get_each). For a backend that
    /// reads names and contents in one request.
    ///
    /// # Errors
    /// [`Corrupted`](cred_core::StorageErrorKind::Corrupted) for a credential that the filter
    /// cannot decide, located by [`Wire::locate`]; or what the backend refuses.
    fn matching(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
        filter: &CredentialFilter,
    ) -> impl Future<Output = StorageResult<Vec<CredentialPath>>> + Send {
        async move {
            let mut paths = self.paths(wire, reach, Some(filter)).await?;
            reach.clean(&mut paths);
            let mut admitted = Vec::new();
            for paths in paths.chunks(AT_ONCE) {
                let files = self.get_each(wire, paths).await?;
                if files.len() != paths.len() {
                    let (files, paths) = (files.len(), paths.len());
                    return Err(StorageError::other(format!("{files} answers came for {paths} paths")));
                }
                for (path, file) in paths.iter().zip(files) {
                    match file {
                        Ok(Some(file)) if filter.matches(&file.metadata) => admitted.push(path.clone()),
                        // Not admitted, or deleted since the names were read.
                        Ok(_) => {}
                        Err(error) => return Err(wire.locate(error, path.clone())),
                    }
                }
            }
            Ok(admitted)
        }
    }

    /// Ends background tasks, and gives back what the backend took (a login, a lease). Called at
    /// each shutdown of the provider, also after one that succeeded. Default: nothing.
    ///
    /// # Errors
    /// What could not be given back. It is logged.
    fn shutdown(&self, wire: &mut Wire<'_>) -> impl Future<Output = StorageResult<()>> + Send {
        let _ = wire;
        async { Ok(()) }
    }

    /// Compare-and-set, for a backend that is [`Conditional`]: `Some(provider)`. Whether it is
    /// there never changes in the life of the provider.
    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        let _ = provider;
        None
    }

    /// Recovery, for a backend that is [`Recoverable`]: `Some(provider)`. Whether it is there never
    /// changes in the life of the provider.
    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        let _ = provider;
        None
    }
}

/// A backend that can write on the condition that nobody else has written since.
pub trait Conditional: Backend {
    /// Reads a credential with its revision; `None`: it is not there.
    ///
    /// # Errors
    /// As [`Backend::get`].
    fn get_versioned(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<Option<Versioned<CredentialFile>>>> + Send;

    /// Stores only where the stored revision is `expected`; with `None`, only where nothing is
    /// stored. Gives the new revision.
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

/// A backend that keeps what is deleted for a time.
pub trait Recoverable: Backend {
    /// Brings a deleted credential back, as it was.
    ///
    /// # Errors
    /// As [`SoftDelete::recover`].
    fn recover(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> impl Future<Output = StorageResult<()>> + Send;

    /// Removes a deleted credential for good.
    ///
    /// # Errors
    /// As [`SoftDelete::purge`].
    fn purge(&self, wire: &mut Wire<'_>, path: PathRef<'_>)
    -> impl Future<Output = StorageResult<()>> + Send;

    /// The paths of deleted credentials in reach, as [`Backend::paths`].
    ///
    /// # Errors
    /// What the backend refuses.
    fn deleted(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
    ) -> impl Future<Output = StorageResult<Vec<CredentialPath>>> + Send;
}

/// Credentials that a filtered list holds at once: of more, it would keep all contents in memory,
/// and read on where the first already failed. A multiple of the 16 and the 100 that backends read
/// at a time.
const AT_ONCE: usize = 400;

/// Which paths a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach<'a> {
    /// Those of exactly this scope; `None`: those of no tenant.
    Scope(Option<&'a ScopeId>),
    /// Those of this scope and of all below it; `None`: everything.
    Tree(Option<&'a ScopeId>),
}

impl<'a> Reach<'a> {
    /// The scope that it begins at.
    #[must_use]
    pub const fn scope(self) -> Option<&'a ScopeId> {
        match self {
            Self::Scope(scope) | Self::Tree(scope) => scope,
        }
    }

    /// Whether a path is in reach.
    #[must_use]
    pub fn contains(self, path: &CredentialPath) -> bool {
        match self {
            Self::Scope(scope) => path.scope.as_ref() == scope,
            Self::Tree(scope) => path.is_within(scope),
        }
    }

    /// Leaves each path in reach once.
    pub(crate) fn clean(self, paths: &mut Vec<CredentialPath>) {
        paths.retain(|path| self.contains(path));
        paths.sort_unstable();
        paths.dedup();
    }
}
