//! Building a manager: what is needed is needed at compile time.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{CreatedBy, Sealer, StorageProvider};

use crate::shared::{Settings, Shared};
use crate::{CredentialManager, OnExpired};

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
/// # fn build(storage: impl cred_core::StorageProvider + 'static, keys: impl cred_core::Sealer + 'static) {
/// cred_manager::CredentialManager::builder().keys(keys).build();
/// # }
/// ```
/// Nor without keys: there is no plaintext mode.
/// ```compile_fail,E0599
/// # fn build(storage: impl cred_core::StorageProvider + 'static, keys: impl cred_core::Sealer + 'static) {
/// cred_manager::CredentialManager::builder().storage(storage).build();
/// # }
/// ```
/// With both it does:
/// ```
/// # fn build(storage: impl cred_core::StorageProvider + 'static, keys: impl cred_core::Sealer + 'static) {
/// cred_manager::CredentialManager::builder().keys(keys).storage(storage).build();
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct CredentialManagerBuilder<Storage: Slot = No, Keys: Slot = No> {
    storage: Storage::Of<Arc<dyn StorageProvider>>,
    keys: Keys::Of<Arc<dyn Sealer>>,
    settings: Settings,
}

impl CredentialManagerBuilder {
    /// How many items of a batch are in flight, unless
    /// [`batch_concurrency`](Self::batch_concurrency) says otherwise.
    pub const DEFAULT_BATCH_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);
    /// How many credentials are cached at most, unless [`cache_max_size`](Self::cache_max_size)
    /// says otherwise.
    pub const DEFAULT_CACHE_MAX_SIZE: usize = 10_000;
    /// How many loads call the provider at once, unless
    /// [`load_concurrency`](Self::load_concurrency) says otherwise.
    pub const DEFAULT_LOAD_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
    /// How long before its expiry a credential counts as expiring soon, unless
    /// [`expiry_warning`](Self::expiry_warning) says otherwise: 7 days.
    pub const DEFAULT_EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    pub(crate) const fn new() -> Self {
        let settings = Settings {
            cache_ttl: Duration::ZERO,
            cache_max_size: Self::DEFAULT_CACHE_MAX_SIZE,
            load_concurrency: Self::DEFAULT_LOAD_CONCURRENCY,
            batch_concurrency: Self::DEFAULT_BATCH_CONCURRENCY,
            expiry_warning: Self::DEFAULT_EXPIRY_WARNING,
            on_expired: OnExpired::Warn,
            created_by: None,
        };
        Self { storage: (), keys: (), settings }
    }
}

impl<Keys: Slot> CredentialManagerBuilder<No, Keys> {
    /// Where credentials are kept. Required. A provider that is shared or chosen at run time is
    /// given as an `Arc<P>` or an `Arc<dyn StorageProvider>`.
    pub fn storage(self, provider: impl StorageProvider + 'static) -> CredentialManagerBuilder<Yes, Keys> {
        CredentialManagerBuilder { storage: Arc::new(provider), keys: self.keys, settings: self.settings }
    }
}

impl<Storage: Slot> CredentialManagerBuilder<Storage, No> {
    /// What seals them: a key ring, or a KMS of your own. Required. A sealer that is shared or
    /// chosen at run time is given as an `Arc<S>` or an `Arc<dyn Sealer>`.
    /// [`set_keys`](CredentialManager::set_keys) exchanges it later.
    pub fn keys(self, sealer: impl Sealer + 'static) -> CredentialManagerBuilder<Storage, Yes> {
        CredentialManagerBuilder { storage: self.storage, keys: Arc::new(sealer), settings: self.settings }
    }
}

impl<Storage: Slot, Keys: Slot> CredentialManagerBuilder<Storage, Keys> {
    /// Enables the cache: a decrypted credential is served from memory for `ttl`, counted from the
    /// start of its load. Without it, or with zero, every read is a call of the provider.
    ///
    /// Each value's TTL is shortened by a random part, up to a tenth of it, so that values that
    /// were loaded together do not expire together.
    ///
    /// A write of another process becomes visible after `ttl` plus one load at the latest; over an
    /// eventually consistent provider after its [`point`](cred_core::Consistency) as well, which is
    /// five minutes on AWS by default. Time is measured by the monotonic clock, which on most
    /// systems stands still while the machine is suspended. A value that has expired stays in
    /// memory until it is read or evicted; [`clear_cache`](crate::CredentialManager::clear_cache)
    /// wipes it at once.
    pub const fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.settings.cache_ttl = ttl;
        self
    }

    /// Sets how many credentials the cache holds at most. The default is
    /// [`DEFAULT_CACHE_MAX_SIZE`](CredentialManagerBuilder::DEFAULT_CACHE_MAX_SIZE); zero turns the
    /// cache off. Without [`cache_ttl`](Self::cache_ttl) it has no effect.
    ///
    /// The cache never holds more. From 512 credentials on, it is split into shards by a hash of
    /// the path, and a full shard evicts although others have room: expect the first evictions when
    /// more than three quarters are used, so set it to 4/3 of the credentials in use. Memory is
    /// allocated as needed.
    pub const fn cache_max_size(mut self, size: usize) -> Self {
        self.settings.cache_max_size = size;
        self
    }

    /// Sets how many loads of the cache call the provider at once; the default is 64. Further loads
    /// wait, in the order in which they began, for as long as a call may take; then they fail with
    /// [`Busy`](cred_core::StorageErrorKind::Busy).
    ///
    /// A call of many ids counts as one. Only what fills the cache is limited: without a cache,
    /// reads call the provider directly, as do writes, lists and validations.
    pub const fn load_concurrency(mut self, limit: NonZeroUsize) -> Self {
        self.settings.load_concurrency = limit;
        self
    }

    /// How many items of a batch or of a re-key are in flight at once; default 10. A re-key can
    /// have a limit of [its own](crate::Rekey::concurrency).
    pub const fn batch_concurrency(mut self, limit: NonZeroUsize) -> Self {
        self.settings.batch_concurrency = limit;
        self
    }

    /// How long before its expiry [`validate`](CredentialManager::validate) reports a credential as
    /// [`ExpiringSoon`](crate::Finding::ExpiringSoon); default 7 days. Zero: never.
    pub const fn expiry_warning(mut self, before: Duration) -> Self {
        self.settings.expiry_warning = before;
        self
    }

    /// Sets what happens where [`retrieve`](CredentialManager::retrieve),
    /// [`refresh`](CredentialManager::refresh) or a batch of reads loads an expired credential; the
    /// default is [`OnExpired::Warn`]. Expiry is judged by the system clock.
    pub const fn on_expired(mut self, on_expired: OnExpired) -> Self {
        self.settings.on_expired = on_expired;
        self
    }
}

impl<Storage: Slot, Keys: Slot> CredentialManagerBuilder<Storage, Keys> {
    /// Sets the name that is recorded as [`created_by`](cred_core::CredentialMetadata::created_by)
    /// with each credential that is first stored; the default is `None`: no name is recorded.
    /// Scoped handles record it too.
    ///
    /// It is kept as the creation time is: [`rotate`](CredentialManager::rotate),
    /// [`rotate_with`](CredentialManager::rotate_with), [`update`](CredentialManager::update),
    /// [`store_if`](CredentialManager::store_if) and [`rekey`](CredentialManager::rekey) keep the
    /// recorded name, also where none was recorded. A plain
    /// [`store`](CredentialManager::store) keeps it only if the credential is in the cache;
    /// otherwise it records this name.
    ///
    /// The name is not secret and stands beside the sealed value. It is bound by the seal, but it
    /// proves nothing: a holder of the sealing key can record any name. No call of the provider.
    pub fn created_by(mut self, created_by: impl Into<Option<CreatedBy>>) -> Self {
        self.settings.created_by = created_by.into();
        self
    }
}

impl CredentialManagerBuilder<Yes, Yes> {
    /// The manager's root handle: it contains every scope. Touches neither network nor disk.
    #[must_use]
    pub fn build(self) -> CredentialManager {
        CredentialManager::root(Shared::new(self.storage, self.keys, self.settings))
    }
}

impl<Storage: Slot, Keys: Slot> fmt::Debug for CredentialManagerBuilder<Storage, Keys> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialManagerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
