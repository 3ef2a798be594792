//! Operations of a provider.

use std::fmt;

/// An operation of a provider, as named in errors, spans and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`StorageProvider::store`](crate::StorageProvider::store).
    Store,
    /// [`StorageProvider::retrieve`](crate::StorageProvider::retrieve).
    Retrieve,
    /// [`StorageProvider::delete`](crate::StorageProvider::delete).
    Delete,
    /// [`StorageProvider::exists`](crate::StorageProvider::exists).
    Exists,
    /// [`StorageProvider::list`](crate::StorageProvider::list).
    List,
    /// [`StorageProvider::list_tree`](crate::StorageProvider::list_tree).
    ListTree,
    /// [`StorageProvider::retrieve_many`](crate::StorageProvider::retrieve_many).
    RetrieveMany,
    /// [`CompareAndSet::retrieve_versioned`](crate::CompareAndSet::retrieve_versioned).
    RetrieveVersioned,
    /// [`CompareAndSet::store_if`](crate::CompareAndSet::store_if).
    StoreIf,
    /// [`SoftDelete::recover`](crate::SoftDelete::recover).
    Recover,
    /// [`SoftDelete::purge`](crate::SoftDelete::purge).
    Purge,
    /// [`SoftDelete::list_deleted`](crate::SoftDelete::list_deleted).
    ListDeleted,
    /// Listing the versions of a credential that a backend keeps, if its provider offers that.
    Versions,
    /// Connecting to the backend before the first use.
    Connect,
    /// [`StorageProvider::shutdown`](crate::StorageProvider::shutdown).
    Shutdown,
}

impl Operation {
    /// Returns the name in spans and metrics, in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Retrieve => "retrieve",
            Self::Delete => "delete",
            Self::Exists => "exists",
            Self::List => "list",
            Self::ListTree => "list_tree",
            Self::RetrieveMany => "retrieve_many",
            Self::RetrieveVersioned => "retrieve_versioned",
            Self::StoreIf => "store_if",
            Self::Recover => "recover",
            Self::Purge => "purge",
            Self::ListDeleted => "list_deleted",
            Self::Versions => "versions",
            Self::Connect => "connect",
            Self::Shutdown => "shutdown",
        }
    }

    /// Returns whether the operation changes stored data. If the backend does not respond to such
    /// an operation, its outcome is unknown.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(self, Self::Store | Self::Delete | Self::StoreIf | Self::Recover | Self::Purge)
    }

    /// Returns the verb phrase for a sentence that begins with "could not".
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Retrieve | Self::RetrieveMany | Self::RetrieveVersioned => "retrieve",
            Self::Delete => "delete",
            Self::Exists => "look up",
            Self::List => "list the credentials of",
            Self::ListTree => "list the tree of",
            Self::StoreIf => "conditionally store",
            Self::Recover => "recover",
            Self::Purge => "purge",
            Self::ListDeleted => "list the deleted credentials of",
            Self::Versions => "read the versions of",
            Self::Connect => "connect to",
            Self::Shutdown => "shut down",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
