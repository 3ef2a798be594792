//! Building a manager. A missing part is a compile error.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{CreatedBy, Sealer, StorageProvider};

use crate::shared::{Settings, Shared};
use crate::{CredentialManager, OnExpired};

/// Whether a part of the builder is set: [`No`] or [`Yes`].
pub trait Slot: private::Sealed {
    /// The type of the part in this slot: `()` until it is set, then `T`.
    type Of<T>;
}

/// The part is not set yet.
#[derive(Debug, Clone, Copy)]
pub struct No;

/// The part is set.
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

/// Builds a [`CredentialManager`]. `build` is only available once storage and keys are set, in any
/// order.
///
/// Without storage, it does not compile:
/// ```compile_fail,E0599
/// # fn build(storage: impl cred_core::StorageProvider + 'static, keys: impl cred_core::Sealer + 'static) {
/// cred_manager::CredentialManager::builder().keys(keys).build();
/// # }
/// ```
/// Without keys, it does not compile either: a plaintext mode does not exist.
/// ```compile_fail,E0599
/// # fn build(storage: impl cred_core::StorageProvider + 'static, keys: impl cred_core::Sealer + 'static) {
/// cred_manager::CredentialManager::builder().storage(storage).build();
/// # }
/// ```
/// With both, it compiles:
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
    /// How many items of a batch run at once by default: 10. See
    /// [`batch_concurrency`](Self::batch_concurrency).
    pub const DEFAULT_BATCH_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);
    /// How many credentials are cached at most by default: 10,000. See
    /// [`cache_max_size`](Self::cache_max_size).
    pub const DEFAULT_CACHE_MAX_SIZE: usize = 10_000;
    /// How many loads call the provider at once by default: 64. See
    /// [`load_concurrency`](Self::load_concurrency).
    pub const DEFAULT_LOAD_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
    /// How long before its expiry a credential is reported as expiring soon by default: 7 days. See
    /// [`expiry_warning`](Self::expiry_warning).
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
    /// Sets the storage provider. Required. To share a provider, or to choose one at run time, pass
    /// an `Arc<P>` or an `Arc<dyn StorageProvider>`.
    ///
    /// ```
    /// # use cred_core::Sealer;
    /// # fn example(keys: impl Sealer + 'static) -> Result<(), cred_core::ConfigError> {
    /// use std::sync::Arc;
    ///
    /// use cred_core::StorageProvider;
    /// use cred_manager::CredentialManager;
    /// use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
    ///
    /// let provider: Arc<dyn StorageProvider> =
    ///     Arc::new(MemoryStorageProvider::new(MemoryStorageConfig::default())?);
    /// let manager = CredentialManager::builder().storage(provider).keys(keys).build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn storage(self, provider: impl StorageProvider + 'static) -> CredentialManagerBuilder<Yes, Keys> {
        CredentialManagerBuilder { storage: Arc::new(provider), keys: self.keys, settings: self.settings }
    }
}

impl<Storage: Slot> CredentialManagerBuilder<Storage, No> {
    /// Sets the keys that seal credentials: a key ring, or your own [`Sealer`], such as a KMS.
    /// Required. To share a sealer, or to choose one at run time, pass an `Arc<S>` or an
    /// `Arc<dyn Sealer>`. [`set_keys`](CredentialManager::set_keys) replaces it later.
    ///
    /// ```
    /// # use cred_core::StorageProvider;
    /// # fn example(provider: impl StorageProvider + 'static) -> Result<(), Box<dyn std::error::Error>> {
    /// use cred_manager::{CredentialManager, crypto::KeyRing};
    ///
    /// let keys = KeyRing::from_key_file("main-2026".parse()?, "/etc/acme/main.key")?;
    /// let manager = CredentialManager::builder().storage(provider).keys(keys).build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys(self, sealer: impl Sealer + 'static) -> CredentialManagerBuilder<Storage, Yes> {
        CredentialManagerBuilder { storage: self.storage, keys: Arc::new(sealer), settings: self.settings }
    }
}

impl<Storage: Slot, Keys: Slot> CredentialManagerBuilder<Storage, Keys> {
    /// Enables the cache: a decrypted credential is served from memory for `ttl`, counted from the
    /// start of its load. Without it, or with zero, every read is a call of the provider.
    ///
    /// ```
    /// # use cred_core::{Sealer, StorageProvider};
    /// # fn example(
    /// #     provider: impl StorageProvider + 'static,
    /// #     keys: impl Sealer + 'static,
    /// # ) {
    /// use std::time::Duration;
    ///
    /// use cred_manager::CredentialManager;
    ///
    /// let builder = CredentialManager::builder().storage(provider).keys(keys);
    /// let manager = builder.cache_ttl(Duration::from_secs(300)).cache_max_size(2_000).build();
    /// # }
    /// ```
    ///
    /// - Each value's TTL is shortened by a random part, up to a tenth of it, so that values that
    ///   were loaded together do not expire together.
    /// - A write of another process becomes visible after `ttl` plus one load at the latest; over
    ///   an eventually consistent provider after its [`point`](cred_core::Consistency) as well,
    ///   which is five minutes on AWS by default.
    /// - Time is measured by the monotonic clock, which on most systems stops while the machine is
    ///   suspended.
    /// - An expired value stays in memory until it is read or evicted.
    ///   [`clear_cache`](crate::CredentialManager::clear_cache) wipes it at once.
    pub const fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.settings.cache_ttl = ttl;
        self
    }

    /// Sets how many credentials the cache contains at most. The default is
    /// [`DEFAULT_CACHE_MAX_SIZE`](CredentialManagerBuilder::DEFAULT_CACHE_MAX_SIZE); zero turns the
    /// cache off. Without [`cache_ttl`](Self::cache_ttl) it has no effect.
    ///
    /// The cache never contains more. If `size` is 512 or more, the cache is split into shards by a
    /// hash of the path, and a full shard evicts although others have room: expect the first
    /// evictions when more than three quarters are used, so set it to 4/3 of the credentials in
    /// use. Memory is allocated as needed.
    pub const fn cache_max_size(mut self, size: usize) -> Self {
        self.settings.cache_max_size = size;
        self
    }

    /// Sets how many loads of the cache call the provider at once; the default is 64. Further loads
    /// wait, in the order in which they began, for as long as a call may take; then they fail with
    /// [`Busy`](cred_core::StorageErrorKind::Busy).
    ///
    /// One call for many ids counts as one. Only loads that fill the cache are limited: without a
    /// cache, reads call the provider directly, as do writes, lists and validations.
    ///
    /// ```
    /// # use cred_core::{Sealer, StorageProvider};
    /// # fn example(
    /// #     provider: impl StorageProvider + 'static,
    /// #     keys: impl Sealer + 'static,
    /// # ) -> Option<()> {
    /// use std::{num::NonZeroUsize, time::Duration};
    ///
    /// use cred_manager::CredentialManager;
    ///
    /// let builder = CredentialManager::builder().storage(provider).keys(keys);
    /// let builder = builder.cache_ttl(Duration::from_secs(300));
    /// let manager = builder.load_concurrency(NonZeroUsize::new(16)?).build();
    /// # Some(())
    /// # }
    /// ```
    pub const fn load_concurrency(mut self, limit: NonZeroUsize) -> Self {
        self.settings.load_concurrency = limit;
        self
    }

    /// Sets how many items of a batch or of a re-key run at once; the default is 10. A re-key can
    /// have [its own limit](crate::Rekey::concurrency).
    ///
    /// ```
    /// # use cred_core::{Sealer, StorageProvider};
    /// # fn example(
    /// #     provider: impl StorageProvider + 'static,
    /// #     keys: impl Sealer + 'static,
    /// # ) -> Option<()> {
    /// use std::num::NonZeroUsize;
    ///
    /// use cred_manager::CredentialManager;
    ///
    /// let builder = CredentialManager::builder().storage(provider).keys(keys);
    /// let manager = builder.batch_concurrency(NonZeroUsize::new(32)?).build();
    /// # Some(())
    /// # }
    /// ```
    pub const fn batch_concurrency(mut self, limit: NonZeroUsize) -> Self {
        self.settings.batch_concurrency = limit;
        self
    }

    /// Sets how long before its expiry [`validate`](CredentialManager::validate) reports a
    /// credential as [`ExpiringSoon`](crate::Finding::ExpiringSoon); the default is 7 days. Zero:
    /// never.
    ///
    /// ```
    /// # use cred_core::{Sealer, StorageProvider};
    /// # fn example(
    /// #     provider: impl StorageProvider + 'static,
    /// #     keys: impl Sealer + 'static,
    /// # ) {
    /// use std::time::Duration;
    ///
    /// use cred_manager::CredentialManager;
    ///
    /// let builder = CredentialManager::builder().storage(provider).keys(keys);
    /// let manager = builder.expiry_warning(Duration::from_secs(30 * 24 * 60 * 60)).build();
    /// # }
    /// ```
    pub const fn expiry_warning(mut self, before: Duration) -> Self {
        self.settings.expiry_warning = before;
        self
    }

    /// Sets what [`retrieve`](CredentialManager::retrieve), [`refresh`](CredentialManager::refresh)
    /// and batches of reads do when they load an expired credential; the default is
    /// [`OnExpired::Warn`]. Expiry is judged by the system clock.
    ///
    /// ```
    /// # use cred_core::{Sealer, StorageProvider};
    /// # fn example(
    /// #     provider: impl StorageProvider + 'static,
    /// #     keys: impl Sealer + 'static,
    /// # ) {
    /// use cred_manager::{CredentialManager, OnExpired};
    ///
    /// let builder = CredentialManager::builder().storage(provider).keys(keys);
    /// let manager = builder.on_expired(OnExpired::Refuse).build();
    /// # }
    /// ```
    pub const fn on_expired(mut self, on_expired: OnExpired) -> Self {
        self.settings.on_expired = on_expired;
        self
    }
}

impl<Storage: Slot, Keys: Slot> CredentialManagerBuilder<Storage, Keys> {
    /// Sets the name that is recorded as [`created_by`](cred_core::CredentialMetadata::created_by)
    /// when a credential is first stored; the default is `None`: no name is recorded. Scoped
    /// handles record it too.
    ///
    /// - [`rotate`](CredentialManager::rotate), [`rotate_with`](CredentialManager::rotate_with),
    ///   [`update`](CredentialManager::update), [`store_if`](CredentialManager::store_if) and
    ///   [`rekey`](CredentialManager::rekey) keep the recorded name, as they keep the creation
    ///   time, also if none was recorded.
    /// - A plain [`store`](CredentialManager::store) keeps it only if the credential is in the
    ///   cache; otherwise it records this name.
    ///
    /// The name is not secret and is stored unencrypted beside the sealed value. The seal
    /// authenticates it, but it proves nothing: a holder of the sealing key can record any name. No
    /// call of the provider.
    ///
    /// ```
    /// # use cred_core::{Sealer, StorageProvider};
    /// # fn example(
    /// #     provider: impl StorageProvider + 'static,
    /// #     keys: impl Sealer + 'static,
    /// # ) -> Result<(), cred_core::ParseError> {
    /// use cred_core::CreatedBy;
    /// use cred_manager::CredentialManager;
    ///
    /// let name: CreatedBy = "billing-service".parse()?;
    /// let manager = CredentialManager::builder().storage(provider).keys(keys).created_by(name).build();
    /// # Ok(())
    /// # }
    /// ```
    pub fn created_by(mut self, created_by: impl Into<Option<CreatedBy>>) -> Self {
        self.settings.created_by = created_by.into();
        self
    }
}

impl CredentialManagerBuilder<Yes, Yes> {
    /// Builds the root handle, which contains every scope. Accesses neither network nor disk.
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
