//! Building a manager: what is needed is needed at compile time.

use std::fmt;
use std::sync::Arc;

use cred_core::{Sealer, StorageProvider};

use crate::CredentialManager;

/// Whether a part of the builder was given: [`No`] or [`Yes`].
pub trait Slot: private::Sealed {
    /// What stands in the slot: nothing, or the part.
    type Of<T>;
}

/// Not given yet.
#[derive(Debug, Clone, Copy)]
pub struct No;

/// Given.
#[derive(Debug, Clone, Copy)]
pub struct Yes;

impl Slot for No {
    type Of<T> = ();
}

impl Slot for Yes {
    type Of<T> = T;
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::No {}
    impl Sealed for super::Yes {}
}

/// Builds a [`CredentialManager`]. `build` is there once storage and keys were given, in any order.
///
/// Without storage it does not compile:
/// ```compile_fail,E0599
/// # use std::sync::Arc;
/// # fn build(storage: Arc<dyn cred_core::StorageProvider>, keys: Arc<dyn cred_core::Sealer>) {
/// cred_manager::CredentialManager::builder().keys(keys).build();
/// # }
/// ```
/// Nor without keys: there is no plaintext mode.
/// ```compile_fail,E0599
/// # use std::sync::Arc;
/// # fn build(storage: Arc<dyn cred_core::StorageProvider>, keys: Arc<dyn cred_core::Sealer>) {
/// cred_manager::CredentialManager::builder().storage(storage).build();
/// # }
/// ```
/// With both it does:
/// ```
/// # use std::sync::Arc;
/// # fn build(storage: Arc<dyn cred_core::StorageProvider>, keys: Arc<dyn cred_core::Sealer>) {
/// cred_manager::CredentialManager::builder().keys(keys).storage(storage).build();
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct CredentialManagerBuilder<Storage: Slot = No, Keys: Slot = No> {
    storage: Storage::Of<Arc<dyn StorageProvider>>,
    keys: Keys::Of<Arc<dyn Sealer>>,
}

impl CredentialManagerBuilder {
    pub(crate) const fn new() -> Self {
        Self { storage: (), keys: () }
    }
}

impl<Keys: Slot> CredentialManagerBuilder<No, Keys> {
    /// Where credentials are kept. Required.
    pub fn storage(self, provider: Arc<dyn StorageProvider>) -> CredentialManagerBuilder<Yes, Keys> {
        CredentialManagerBuilder { storage: provider, keys: self.keys }
    }
}

impl<Storage: Slot> CredentialManagerBuilder<Storage, No> {
    /// What seals them: a key ring, or a KMS of your own. Required.
    pub fn keys(self, sealer: Arc<dyn Sealer>) -> CredentialManagerBuilder<Storage, Yes> {
        CredentialManagerBuilder { storage: self.storage, keys: sealer }
    }
}

impl CredentialManagerBuilder<Yes, Yes> {
    /// The manager's root handle: it contains every scope. Touches neither network nor disk.
    #[must_use]
    pub fn build(self) -> CredentialManager {
        CredentialManager::new(self.storage, self.keys)
    }
}

impl<Storage: Slot, Keys: Slot> fmt::Debug for CredentialManagerBuilder<Storage, Keys> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialManagerBuilder").finish_non_exhaustive()
    }
}
