//! The `cred` credential manager: sealed, scoped and ordered access to any storage provider.
//!
//! A provider and keys make a manager, and nothing else does: without either, `build()` does not compile.
//!
//! ```
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use cred_core::{Credential, field};
//! use cred_manager::{CredentialManager, crypto::KeyRing};
//! use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
//!
//! let provider = MemoryStorageProvider::new(MemoryStorageConfig::default())?;
//! let keys = KeyRing::generate("main-2026".parse()?)?;
//! let manager = CredentialManager::builder().storage(provider).keys(keys).build();
//!
//! let tenant = manager.scoped("org:acme".parse()?)?;
//! let id = "stripe-api-key".parse()?;
//! tenant.store(&id, Credential::api_key("sk_live_example")).await?;
//! let key = tenant.retrieve(&id).await?.ok_or("not stored")?;
//! assert_eq!(key.expose_text(field::VALUE)?, "sk_live_example");
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(start()).unwrap();
//! ```
//!
//! # What it does
//! - **Sealing.** The provider sees sealed bytes only; there is no plaintext mode. A credential is bound to its path,
//!   its metadata and its key: what was moved or edited does not open.
//! - **Scopes.** A handle made by [`CredentialManager::scoped`] reaches its own tenant and what lies below it, and
//!   can never be widened.
//! - **Order.** Writes to one path run one at a time, in the order in which their futures were first
//!   polled. A write that has begun runs in a task of the manager: dropping the caller's future
//!   neither stops nor tears it. A caller that leaves while it waits for the write lock has written
//!   nothing.
//! - **Truth.** If the outcome of a write is unknown, it fails as
//!   [`InDoubt`](cred_core::StorageErrorKind::InDoubt), never as a plain failure.
//!
//! # The cache's promise
//! A read that starts after a write of this manager was answered `Ok` returns that write or a later
//! one. Over an [`Eventual`](cred_core::Consistency) provider, that holds after `point` plus one
//! load. A write of another manager becomes visible after the TTL plus one load at the latest, and
//! over an `Eventual` provider after `point` as well. Dropping a caller's future never breaks this.
//!
//! A write whose outcome is unknown can still land for
//! [`in_doubt`](cred_core::Description::in_doubt). The cache keeps nothing of its path until then.
//! Where the provider has no compare-and-set:
//! - It can land after a later `store` or `delete` that was answered `Ok`, and replace it.
//! - `rotate`, `store_if_absent` and `rekey` wait until it cannot land any more, or are
//!   [`Busy`](cred_core::StorageErrorKind::Busy).
//! - If a re-key made it, every later write of this manager to that path waits, or is `Busy`.
//!
//! A provider may send a write again after an attempt without a response, and then answer `Ok`. If
//! the network delivers the earlier attempt later still, it lands like a write of another manager.
//!
//! # The contract
//! | operation | here | proven by |
//! |---|---|---|
//! | store | [`CredentialManager::store`] | `sealing::every_part_of_a_credential_comes_back`, `cache::a_read_after_a_write_never_joins_a_load_from_before_it` |
//! | retrieve | [`CredentialManager::retrieve`] | `cache::a_value_is_loaded_once_and_kept_for_its_time`, `cache::absence_is_not_cached` |
//! | delete | [`CredentialManager::delete`] | `cache::a_delete_and_a_rotation_invalidate_as_well` |
//! | list | [`CredentialManager::list`] | `sealing::a_scope_is_another_place_and_a_handle_only_narrows` |
//! | retrieve_scoped | [`CredentialManager::retrieve_scoped`] | `lifecycle::the_scope_operations_stay_inside_the_handle` |
//! | list_scoped | [`CredentialManager::list_scoped`] | `lifecycle::the_scope_operations_stay_inside_the_handle` |
//! | store_batch | [`CredentialManager::store_batch`] | `batch::so_many_are_in_flight_and_no_more`, `batch::of_a_duplicate_the_last_in_input_order_stands` |
//! | retrieve_batch | [`CredentialManager::retrieve_batch`] | `batch::answers_are_in_input_order_and_duplicates_are_answered`, `batch::a_batch_joins_loads_that_are_under_way_and_finds_what_is_cached` |
//! | delete_batch | [`CredentialManager::delete_batch`] | `batch::so_many_are_in_flight_and_no_more` |
//! | validate | [`CredentialManager::validate`] | `lifecycle::validation_tells_every_state_apart` |
//! | validate_batch | [`CredentialManager::validate_batch`] | `lifecycle::a_failed_look_up_has_a_slot_and_stops_nothing`, `validation::a_batch_finds_what_single_validations_find`, `validation::a_thousand_validations_are_fifty_calls` |
//! | clear_cache | [`CredentialManager::clear_cache`] | `cache::a_scoped_handle_clears_its_own_subtree_and_has_no_stats` |
//! | clear_cache_for | [`CredentialManager::clear_cache_for`] | `cache::clearing_also_keeps_out_what_is_being_loaded` |
//! | cache_stats | [`CredentialManager::cache_stats`] | `cache::the_statistics_add_up`, `cache::without_a_time_or_room_nothing_is_cached_and_nothing_shared` |
//! | builder | [`CredentialManager::builder`] | the examples of [`CredentialManagerBuilder`], two of which must not compile |
//! | storage | [`CredentialManagerBuilder::storage`] | the same |
//! | cache_ttl, cache_max_size | [`CredentialManagerBuilder::cache_ttl`], [`CredentialManagerBuilder::cache_max_size`] | `cache::without_a_time_or_room_nothing_is_cached_and_nothing_shared` |
//! | batch_concurrency | [`CredentialManagerBuilder::batch_concurrency`] | `batch::so_many_are_in_flight_and_no_more` |
//! | build | [`CredentialManagerBuilder::build`] | the examples of [`CredentialManagerBuilder`] |
//! | list_tree | [`CredentialManager::list_tree`] | `lifecycle::the_scope_operations_stay_inside_the_handle` |
//! | rotate | [`CredentialManager::rotate`] | `lifecycle::a_rotation_carries_creation_and_version_on` |
//! | store where nothing is | [`CredentialManager::store_if_absent`] | `lifecycle::of_managers_that_store_where_nothing_is_one_does` |
//! | retrieve_versioned | [`CredentialManager::retrieve_versioned`] | `update::a_revision_is_never_that_of_a_cached_value_and_a_conditional_write_replaces_that` |
//! | store_if | [`CredentialManager::store_if`] | `update::only_the_stored_revision_is_stored_over` |
//! | update | [`CredentialManager::update`] | `update::concurrent_updates_of_two_managers_lose_none` |
//! | rekey | [`CredentialManager::rekey`] | `rekey::a_rekey_reseals_a_tree_and_changes_nothing_inside` |
//! | set_keys | [`CredentialManager::set_keys`] | `set_keys::under_load_a_rekey_after_an_exchange_leaves_nothing_under_the_former_keys` |
//! | recover | [`CredentialManager::recover`] | `recovery::what_is_deleted_comes_back_as_it_was_and_a_purge_is_final`, `recovery::after_a_recovery_no_read_is_answered_from_before_it` |
//! | purge | [`CredentialManager::purge`] | `recovery::what_is_deleted_comes_back_as_it_was_and_a_purge_is_final` |
//! | list_deleted | [`CredentialManager::list_deleted`] | `recovery::a_handle_reaches_what_is_deleted_in_its_own_scope` |
//! | refresh | [`CredentialManager::refresh`] | `cache::refresh_never_joins_a_load_and_replaces_what_was_cached` |
//! | shutdown | [`CredentialManager::shutdown`] | `writes::shutdown_waits_for_running_writes_and_refuses_what_comes_later` |
//!
//! Where it departs: operations take `&CredentialId`, so that callers need not clone; keys are required besides storage;
//! `batch_concurrency` takes a `NonZeroUsize`, since zero would hang.
//!
//! # Watching it
//! Every operation but `clear_cache` and `clear_cache_for` is a `tracing` span `cred` at DEBUG with the fields `operation`, `scope`, `id`, `cache`, `outcome` and
//! `error`, never a value. The outcome is `ok`, `failed`, `in_doubt`, or `not_found` of a rotation; of many at once also
//! `partial`, with the first failure as the error. A cache hit makes a span only where a subscriber listens at DEBUG.
//!
//! Events at WARN with the target `cred` report an expired credential that was loaded
//! ([`OnExpired`]), and a write that failed after its caller had left.
//!
//! With the feature `metrics`, these are recorded through the `metrics` facade. Building a manager
//! describes them to the recorder that is installed by then.
//!
//! | metric | labels | value |
//! |---|---|---|
//! | `cred_operations_total` | `operation`, `outcome`, `provider`, `error` | operations that have ended; `error` is the [class](cred_core::ErrorClass::as_str), or `none` |
//! | `cred_operation_seconds` | `operation` | their times, but for cache hits that make no span |
//! | `cred_cache_total` | `result` | reads by `hit`, `miss` and `joined` |
//! | `cred_cache_size` | `provider` | cached credentials after the last change |
//! | `cred_cache_evictions_total` | `provider` | credentials that made room for others |
//!
//! It needs a [Tokio](https://docs.rs/tokio) runtime with time enabled.

mod batch;
mod builder;
mod cache;
mod conditional;
mod error;
mod expiry;
mod fetch_many;
mod keys;
mod lists;
mod manager;
mod meter;
mod observe;
mod recovery;
mod rekey;
mod rotation;
mod sealing;
mod shared;
mod tasks;
mod update;
mod validation;
mod visibility;
mod windows;
mod write_lock;

pub use batch::BatchItem;
pub use builder::{CredentialManagerBuilder, No, Slot, Yes};
pub use cache::CacheStats;
pub use error::ManagerError;
pub use expiry::OnExpired;
pub use lists::ListOptions;
pub use manager::CredentialManager;
pub use rekey::{Rekey, RekeyReport};
pub use update::Versioned;
pub use validation::{ValidatedPath, ValidationResult};

/// Local keys: the `cred-crypto` crate, as `cred_manager::crypto`.
#[cfg(feature = "crypto")]
pub use cred_crypto as crypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
