//! Encrypted credentials for Rust services, per tenant, in the secret store that you already run.
//!
//! A service encrypts ("seals") its credentials itself, so the store never sees a secret. This
//! crate, `cred-rs`, is the only dependency that a service needs; its library is named `cred`. It
//! re-exports the manager, its types, and each store behind a feature. On crates.io, `cred` is an
//! unrelated program. Until the first release, add the crate from a checkout:
//! `cargo add --path ../cred/crates/cred-rs --features config`.
//!
//! | task | section |
//! |---|---|
//! | store and read a credential | below |
//! | choose a store | [Features](#features) |
//! | use the cache | [Cache](#cache) |
//! | handle errors, ETags and readiness in a web service | [HTTP handlers](#http-handlers) |
//! | know what happens when a future is dropped | [Timeouts and dropped futures](#timeouts-and-dropped-futures) |
//! | rotate credentials | [Scheduled rotation](#scheduled-rotation) |
//! | replace the sealing key | [Replacing the sealing key](#replacing-the-sealing-key) |
//! | stop a service | [Shutdown](#shutdown) |
//! | store your own type | [Typed credentials](#typed-credentials) |
//! | test a service without a server | [Unit tests](#unit-tests) |
//! | support a new store | [Custom providers](#custom-providers) |
//!
//! The command `cred init` creates a key, a local store, and a `cred.toml` that refers to both.
//! With the feature `config`, a service opens that file:
//!
//! ```no_run
//! # #[cfg(feature = "config")]
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use cred::{Credential, CredentialId, ScopeId};
//!
//! let manager = cred::open("cred.toml").await?;
//! let acme = manager.scoped(ScopeId::new("org", "acme")?)?;
//!
//! let id = CredentialId::from_static("stripe-api-key");
//! acme.store(&id, Credential::api_key("sk_live_example")).await?;
//! let key = acme.retrieve(&id).await?.ok_or("nothing is stored")?;
//! assert_eq!(key.expose_secret()?, "sk_live_example");
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `local` (default) | [`local`]: files |
//! | `vault` | [`vault`]: HashiCorp Vault and OpenBao |
//! | `aws` | [`aws`]: AWS Secrets Manager; needs Rust 1.94.1 |
//! | `azure` | [`azure`]: Azure Key Vault; needs Rust 1.88 |
//! | `k8s` | [`k8s`]: Kubernetes Secrets; needs Rust 1.89 |
//! | `memory` | [`memory`]: a store in the memory of the process, for tests |
//! | `config` | [`open`], [`configure`], [`SecretSource`]: a manager from a `cred.toml` |
//! | `metrics` | a counter and a duration for every operation, through the `metrics` facade |
//! | `testing` | [`testing`]: providers and a sealer that fail, lag or record |
//!
//! Only the stores whose features are enabled are compiled. Without `config`, build the manager
//! from a store and a key ring:
//!
//! ```no_run
//! # #[cfg(feature = "local")]
//! # fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use cred::local::{LocalStorageConfig, LocalStorageProvider};
//! use cred::{CredentialManager, KeyId, KeyRing};
//! use std::time::Duration;
//!
//! let config = LocalStorageConfig::default().with_base_path("/var/lib/app/credentials");
//! let storage = LocalStorageProvider::new(config)?;
//! let keys = KeyRing::from_key_file(KeyId::from_static("main-2026"), "/etc/app/main-2026.key")?;
//! let manager = CredentialManager::builder()
//!     .storage(storage)
//!     .keys(keys)
//!     .cache_ttl(Duration::from_secs(60))
//!     .build();
//! # Ok(())
//! # }
//! ```
//!
//! A [`CredentialManager`] is cheap to clone and to narrow with `scoped`: clones share the cache
//! and the connections.
//!
//! # Cache
//! No cache is used unless `cache_ttl` is set. With a `cred.toml`, [`configure`] returns the
//! builder:
//!
//! ```no_run
//! # #[cfg(feature = "config")]
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let builder = cred::configure("cred.toml", None).await?;
//! let manager = builder.cache_ttl(Duration::from_secs(60)).build();
//! # Ok(())
//! # }
//! ```
//!
//! - A credential that was loaded within the TTL is served from memory, also during an outage.
//!   Absence is not cached.
//! - A write of this manager is visible to its later reads at once. The write of another process
//!   becomes visible after the TTL and the time of one read.
//! - [`refresh`](CredentialManager::refresh) reads from the backend and replaces the cached value:
//!   call it when the issuer refuses a value that may have been rotated.
//! - Cached credentials are decrypted in memory: up to 10,000, or
//!   [`cache_max_size`](CredentialManagerBuilder::cache_max_size).
//!
//! # HTTP handlers
//! The errors of parsing, of reading a field and of every operation convert into [`Error`], so a
//! handler needs only one error type. It suggests the HTTP status of the response. The message of
//! an error never contains a secret, but it names paths and backends: log it, and respond only with
//! the status.
//!
//! ```
//! use axum::extract::{Path, State};
//! use axum::http::StatusCode;
//! use axum::response::{IntoResponse, Response};
//! use cred::{Credential, CredentialId, CredentialManager, ScopeId};
//!
//! /// A cred error as an HTTP response.
//! struct Failed(cred::Error);
//!
//! impl<E: Into<cred::Error>> From<E> for Failed {
//!     fn from(error: E) -> Self {
//!         Self(error.into())
//!     }
//! }
//!
//! impl IntoResponse for Failed {
//!     fn into_response(self) -> Response {
//!         // As `dyn Error`, tracing records the error and its causes.
//!         let error: &(dyn std::error::Error + 'static) = &self.0;
//!         tracing::error!(error, "a credential could not be used");
//!         let hint = StatusCode::from_u16(self.0.http_status_hint());
//!         let status = hint.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
//!         // Round up, because 0 seconds would mean an immediate retry.
//!         let delay = self.0.retry_after().map(|delay| delay.as_secs_f64().ceil().to_string());
//!         (status, delay.map(|seconds| [("retry-after", seconds)]), ()).into_response()
//!     }
//! }
//!
//! /// Returns the length of a tenant's key, or 404 if the tenant has none.
//! async fn key_length(
//!     State(manager): State<CredentialManager>,
//!     Path(tenant): Path<String>,
//! ) -> Result<Response, Failed> {
//!     // `new` takes the name as one value, so a `/` in it cannot select another tenant's scope.
//!     let tenant = manager.scoped(ScopeId::new("org", &tenant)?)?;
//!     let id = CredentialId::from_static("stripe-api-key");
//!     let Some(key) = tenant.retrieve(&id).await? else {
//!         return Ok(StatusCode::NOT_FOUND.into_response());
//!     };
//!     Ok(key.expose_secret()?.len().to_string().into_response())
//! }
//!
//! /// Stores the body as the tenant's key, and replaces an existing one.
//! async fn store_key(
//!     State(manager): State<CredentialManager>,
//!     Path(tenant): Path<String>,
//!     body: String,
//! ) -> Result<StatusCode, Failed> {
//!     let tenant = manager.scoped(ScopeId::new("org", &tenant)?)?;
//!     tenant.store(&CredentialId::from_static("stripe-api-key"), Credential::api_key(body)).await?;
//!     Ok(StatusCode::NO_CONTENT)
//! }
//! # fn is_handler<H: axum::handler::Handler<T, CredentialManager>, T>(_: H) {}
//! # is_handler(key_length);
//! # is_handler(store_key);
//! ```
//!
//! | failure | [`ErrorClass`] | status |
//! |---|---|---|
//! | the credential does not exist (`rotate`, `update`; `retrieve` returns `None`) | `NotFound` | 404 |
//! | another writer changed it first | `Conflict` | 409 |
//! | another write of the credential runs, or an earlier one is not visible yet | `Transient` | 409 |
//! | the request is invalid: a name, a tag, a size | `InvalidRequest` | 400, 413 |
//! | the path is outside the scope of the manager | `InvalidRequest` | 403 |
//! | the backend does not support it, such as `store_if` on AWS and Azure | `InvalidRequest` | 501 |
//! | the backend refuses this service | `Denied` | 502 |
//! | the backend is down, slow or limits the request rate | `Transient` | 503 |
//! | a write may or may not have happened | `UnknownOutcome` | 504 |
//! | damaged data, a missing key, a full disk; an expired credential with [`OnExpired::Refuse`] | `Broken` | 500 |
//! | the manager was shut down | `Broken` | 503 |
//!
//! ## ETag and If-Match
//! A [`Revision`] in double quotes is an `ETag`.
//!
//! - For a GET, [`retrieve_versioned`](CredentialManager::retrieve_versioned) returns the revision.
//! - For a PUT, pass the revision of the `If-Match` header to
//!   [`store_if`](CredentialManager::store_if), or `None` for `If-None-Match: *`, which only
//!   creates. Respond to a `Conflict` with 412; the status hint of the error is 409.
//! - If [`supports_conditional_updates`](CredentialManager::supports_conditional_updates) is false,
//!   the backend has no revisions.
//!
//! ```
//! use cred::{Credential, CredentialId, CredentialManager, ErrorClass, Revision};
//!
//! fn etag(revision: &Revision) -> String {
//!     format!("\"{revision}\"")
//! }
//!
//! /// Handles a PUT with the header `If-Match`, or `If-None-Match: *` if `if_match` is `None`.
//! /// Returns the status and the new `ETag`.
//! async fn put(
//!     tenant: &CredentialManager,
//!     id: &CredentialId,
//!     if_match: Option<&str>,
//!     credential: Credential,
//! ) -> Result<(u16, Option<String>), cred::Error> {
//!     let seen = if_match.map(|tag| Revision::new(tag.trim_matches('"')));
//!     match tenant.store_if(id, seen.as_ref(), credential).await {
//!         Ok(revision) => Ok((204, Some(etag(&revision)))),
//!         Err(error) if error.class() == ErrorClass::Conflict => Ok((412, None)),
//!         Err(error) => Err(error),
//!     }
//! }
//! # #[cfg(feature = "memory")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let manager = CredentialManager::builder()
//! #     .storage(cred::memory::MemoryStorageProvider::default())
//! #     .keys(cred::KeyRing::generate(cred::KeyId::from_static("test"))?)
//! #     .build();
//! # let id = CredentialId::from_static("stripe-api-key");
//! # let put = async |tag: Option<&str>| put(&manager, &id, tag, Credential::text("x")).await;
//! # let (created, tag) = put(None).await?;
//! # assert_eq!((created, put(None).await?.0), (204, 412));
//! # assert_eq!(put(tag.as_deref()).await?.0, 204);
//! # assert_eq!(put(tag.as_deref()).await?.0, 412);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Readiness
//! [`check_ready`](CredentialManager::check_ready) reads once from the backend. Success proves that
//! the network, authentication and the permission to read in the manager's scope work. It needs no
//! key, and the permission to read the id `cred-readiness`.
//!
//! - It does not use the cache. If the service should answer from its cache during an outage, do
//!   not use `check_ready` for `/readyz`: an outage would take every replica out of service.
//! - Do not use it for `/livez`: a restart of the service does not fix a backend.
//!
//! ```
//! # use axum::extract::State;
//! # use axum::http::StatusCode;
//! # use cred::CredentialManager;
//! async fn readyz(State(manager): State<CredentialManager>) -> StatusCode {
//!     match manager.check_ready().await {
//!         Ok(()) => StatusCode::NO_CONTENT,
//!         Err(error) => {
//!             tracing::warn!(%error, "the credential backend is not ready");
//!             StatusCode::SERVICE_UNAVAILABLE
//!         }
//!     }
//! }
//! # fn is_handler<H: axum::handler::Handler<T, CredentialManager>, T>(_: H) {}
//! # is_handler(readyz);
//! ```
//!
//! # Timeouts and dropped futures
//! Any future of the manager can be dropped, for example by `select!`, a timeout, or a client that
//! disconnects.
//!
//! - A read that is dropped has no effect.
//! - A write that has begun continues to its end in a task of the manager. If it then fails, the
//!   manager logs a warning.
//! - A write that still waits for an earlier write of the same credential writes nothing.
//!
//! The caller cannot distinguish the last two cases, so after a timeout of the caller the outcome
//! is unknown: read the credential later, or store the same value again. Every operation ends by
//! itself, a read within the `operation_timeout` of the store (60 s by default, local files 30 s),
//! a write within about twice that. Lower `operation_timeout` rather than dropping futures earlier:
//!
//! ```
//! # use cred::{Credential, CredentialId, CredentialManager};
//! use std::time::Duration;
//!
//! # async fn store(tenant: CredentialManager, id: CredentialId, key: Credential) -> Result<(), cred::Error> {
//! match tokio::time::timeout(Duration::from_secs(5), tenant.store(&id, key)).await {
//!     Ok(result) => result?,
//!     Err(_) => tracing::warn!("the outcome of the store is unknown"), // it may still complete
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Scheduled rotation
//! The [`RotationPolicy`] of a credential defines when it is due; nothing rotates automatically.
//! This job runs every hour until `stop` is cancelled, and completes a rotation that it has
//! started. If the store supports compare-and-set, every replica can run the job:
//! [`rotate_if_due`](CredentialManager::rotate_if_due) rotates in only one of them. On AWS and
//! Azure, run it in one replica.
//!
//! ```
//! use std::time::Duration;
//!
//! use cred::{Credential, CredentialManager};
//! use tokio_util::sync::CancellationToken;
//!
//! async fn rotate_due_credentials(manager: CredentialManager, stop: CancellationToken) {
//!     let mut hour = tokio::time::interval(Duration::from_secs(60 * 60));
//!     while stop.run_until_cancelled(hour.tick()).await.is_some() {
//!         let found = match manager.validate_tree().await {
//!             Ok(found) => found,
//!             Err(error) => {
//!                 tracing::warn!(%error, "could not check the credentials");
//!                 continue;
//!             }
//!         };
//!         for found in found {
//!             if stop.is_cancelled() {
//!                 return;
//!             }
//!             if found.result.is_rotation_due() {
//!                 if let Err(error) = rotate(&manager, &found.path).await {
//!                     tracing::error!(%error, path = %found.path, "could not rotate the credential");
//!                 }
//!             }
//!         }
//!     }
//! }
//!
//! async fn rotate(manager: &CredentialManager, path: &cred::CredentialPath) -> Result<(), cred::Error> {
//!     let fresh = new_value_from_the_issuer().await;
//!     // Tags and policy are kept, and also the expiry unless the new value has one. With the policy
//!     // `before-expiry`, the new value needs a later expiry.
//!     match manager.at(path)?.rotate_if_due(&path.id, |_| fresh.clone()).await {
//!         Ok(Some(_)) => Ok(()),
//!         Ok(None) => Ok(revoke(fresh).await), // another replica has rotated it
//!         Err(error) => {
//!             if !error.may_have_written() {
//!                 revoke(fresh).await;
//!             }
//!             Err(error)
//!         }
//!     }
//! }
//! # async fn new_value_from_the_issuer() -> Credential { Credential::text("fresh") }
//! # async fn revoke(_: Credential) {}
//! ```
//!
//! # Replacing the sealing key
//! A service can replace its sealing key without a restart. First create the new key file and copy
//! it to a safe place. If several processes use the store, give each of them a ring with both keys
//! before the first one seals under the new key. Then set a key ring with the new key as the active
//! one, re-seal all credentials, and remove the old key:
//!
//! ```
//! use std::path::Path;
//!
//! use cred::{CredentialManager, KeyId, KeyRing, SealingKey};
//!
//! async fn replace_key(
//!     manager: &CredentialManager,
//!     (old_id, old_file): (KeyId, &Path),
//!     (new_id, new_file): (KeyId, &Path),
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let new = SealingKey::from_file(new_file)?;
//!     let old = SealingKey::from_file(old_file)?;
//!     let both = KeyRing::builder(new_id.clone()).key(new_id.clone(), new).key(old_id, old).build()?;
//!     manager.set_keys(both).await?;
//!
//!     let report = manager.rekey().await?;
//!     if !report.is_complete() {
//!         return Err("some credentials still need the old key; run the re-key again".into());
//!     }
//!     manager.set_keys(KeyRing::from_key_file(new_id, new_file)?).await?;
//!     Ok(())
//! }
//! # #[cfg(feature = "memory")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let (old, new) = (folder.path().join("old"), folder.path().join("new"));
//! # let (old_id, new_id) = (KeyId::from_static("main-2026"), KeyId::from_static("main-2027"));
//! # SealingKey::create_file(&old)?;
//! # SealingKey::create_file(&new)?;
//! # let manager = CredentialManager::builder()
//! #     .storage(cred::memory::MemoryStorageProvider::default())
//! #     .keys(KeyRing::from_key_file(old_id.clone(), &old)?)
//! #     .build();
//! # let id = cred::CredentialId::from_static("stripe-api-key");
//! # manager.store(&id, cred::Credential::api_key("sk_test_example")).await?;
//! # replace_key(&manager, (old_id, &old), (new_id, &new)).await?;
//! # assert!(manager.retrieve(&id).await?.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Keep both keys in the configuration
//! until the re-key is complete, so that the service has them after a restart.
//! [`set_keys`](CredentialManager::set_keys) describes the procedure for several processes, and
//! when a re-key must be repeated before the old key is removed.
//!
//! # Shutdown
//! Stop in this order: the server, the jobs, then the manager.
//! [`shutdown`](CredentialManager::shutdown) completes the writes that have started and refuses all
//! further operations. Without it, writes that run when the process ends have an unknown outcome,
//! and a login token of Vault lives until its lease ends.
//!
//! ```
//! # async fn stop(manager: cred::CredentialManager) {
//! // After the server has stopped, in a time that the orchestrator allows.
//! let stopped = tokio::time::timeout(std::time::Duration::from_secs(20), manager.shutdown()).await;
//! match stopped {
//!     Ok(Ok(())) => {}
//!     Ok(Err(error)) => tracing::error!(%error, "the manager did not shut down"),
//!     Err(_) => tracing::error!("writes were still running"),
//! }
//! # }
//! ```
//!
//! `examples/service` in the repository is a complete axum service with tenants, conditional
//! writes, a rotation job, metrics and a graceful shutdown.
//!
//! # Typed credentials
//! Your own type can be stored as one credential. Its secret fields serialize only into a
//! credential. Reading a credential of another kind as this type fails with
//! [`CredentialError::WrongKind`]:
//!
//! ```
//! use cred::{Credential, ExposeSecret, KindName, SecretString, TypedCredential};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Database {
//!     host: String,
//!     #[serde(with = "cred::sealed")]
//!     password: SecretString,
//! }
//!
//! impl TypedCredential for Database {
//!     fn kind() -> KindName {
//!         KindName::from_static("database")
//!     }
//! }
//!
//! let database = Database { host: "db.example.com".into(), password: "hunter2".into() };
//! let credential = Credential::typed(&database)?;
//! let back: Database = credential.to_typed()?;
//! assert_eq!(back.password.expose_secret(), "hunter2");
//! # Ok::<(), cred::Error>(())
//! ```
//!
//! # Unit tests
//! With the features `memory` and `testing` as a dev-dependency, a test needs no server and can
//! simulate failures of the backend:
//!
//! ```
//! # #[cfg(all(feature = "memory", feature = "testing"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::sync::Arc;
//!
//! use cred::memory::MemoryStorageProvider;
//! use cred::testing::{Fault, Faulty};
//! use cred::{Credential, CredentialId, CredentialManager, KeyId, KeyRing, Operation, StorageErrorKind};
//!
//! let storage = Arc::new(Faulty::new(MemoryStorageProvider::default()));
//! let keys = KeyRing::generate(KeyId::from_static("test"))?;
//! let manager = CredentialManager::builder().storage(Arc::clone(&storage)).keys(keys).build();
//!
//! let id = CredentialId::from_static("stripe-api-key");
//! manager.store(&id, Credential::api_key("sk_test_example")).await?;
//!
//! let down = StorageErrorKind::Unreachable { reason: "simulated by the test".into() };
//! storage.always(Operation::Retrieve, Fault::Refuse(down));
//! let error = manager.retrieve(&id).await.unwrap_err();
//! assert_eq!(error.http_status_hint(), 503);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Custom providers
//! Implement `Backend` of the crate `cred-provider-kit` (four methods), or [`StorageProvider`]
//! itself, and test it with the suite of `cred-conformance`. `docs/writing-a-provider.md` in the
//! repository is a guide. Pass the provider to the manager like any other:
//! `.storage(MyProvider::new())`.
//!
//! # Functions that return a builder
//! The type of a builder states whether its storage and its keys are set, as [`Yes`] or [`No`].
//! With both set, it is `CredentialManagerBuilder<Yes, Yes>`:
//!
//! ```
//! use cred::{CredentialManager, CredentialManagerBuilder, No, StorageProvider, Yes};
//!
//! /// A builder that still needs its keys.
//! fn with_storage(storage: impl StorageProvider + 'static) -> CredentialManagerBuilder<Yes, No> {
//!     CredentialManager::builder().storage(storage)
//! }
//! # #[cfg(feature = "memory")]
//! # let _ = with_storage(cred::memory::MemoryStorageProvider::default());
//! ```
//!
//! # Separate crates
//! Each store, the manager and the contract are separate crates, for libraries that should not
//! choose a store for their users. A library that only takes or returns credentials needs only
//! `cred-core`.

pub use cred_core::{
    ConfigError, CreatedBy, Credential, CredentialError, CredentialFilter, CredentialId, CredentialKind,
    CredentialMetadata, CredentialPath, ErrorClass, ExposeSecret, FieldName, FormatProblem, KeyId, KindName,
    Lifecycle, Login, Operation, ParseError, ProviderConfig, RetryPolicy, Revision, RotationPolicy, ScopeId,
    SealError, Sealer, SecretSlice, SecretString, StorageError, StorageErrorKind, StorageMetrics,
    StorageProvider, Tags, Target, Timestamp, TypedCredential, Versioned, field, sealed,
};
/// The documentation of `cred-manager` calls this type `ManagerError`.
pub use cred_manager::ManagerError as Error;
pub use cred_manager::crypto::{KeyRing, KeyRingError, Passphrase, SealingKey};
pub use cred_manager::{
    BatchItem, CacheStats, CredentialManager, CredentialManagerBuilder, Finding, ListOptions, No, OnExpired,
    Rekey, RekeyReport, Slot, ValidatedPath, ValidationResult, Yes,
};

#[cfg(feature = "config")]
mod config;
#[cfg(feature = "config")]
pub use config::{OpenError, SecretSource, configure, open};

#[cfg(feature = "aws")]
pub use cred_store_aws as aws;
#[cfg(feature = "azure")]
pub use cred_store_azure as azure;
#[cfg(feature = "k8s")]
pub use cred_store_k8s as k8s;
#[cfg(feature = "local")]
pub use cred_store_local as local;
#[cfg(feature = "memory")]
pub use cred_store_memory as memory;
#[cfg(feature = "vault")]
pub use cred_store_vault as vault;

/// Test doubles for services. They wrap any provider or sealer and make it fail, lag or record
/// calls.
#[cfg(feature = "testing")]
pub mod testing {
    pub use cred_conformance::doubles::{
        Alter, FailingSealer, Fault, Faulty, Lagging, RecordedCall, Recording,
    };
}

#[cfg(all(doctest, feature = "config"))]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../README.md")]
struct Readme;
