//! Sealed credentials for Rust services, per tenant, in the store that you already run.
//!
//! This crate is the one dependency of a service: `cargo add cred-rs`. The library is named `cred`.
//! It re-exports the manager, the types that it works with, and each store behind a feature.
//!
//! `cred init`, of the program, makes a key, a local store, and a `cred.toml` that names both. With
//! the feature `config` a service opens the same file:
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
//! | feature | what it adds |
//! |---|---|
//! | `local` (default) | [`local`]: files |
//! | `vault` | [`vault`]: HashiCorp Vault and OpenBao |
//! | `aws` | [`aws`]: AWS Secrets Manager; needs Rust 1.94.1 |
//! | `azure` | [`azure`]: Azure Key Vault; needs Rust 1.88 |
//! | `k8s` | [`k8s`]: Kubernetes Secrets; needs Rust 1.89 |
//! | `memory` | [`memory`]: a store that ends with the process, for tests |
//! | `config` | [`open`], [`configure`], [`SecretSource`]: store and keys from a `cred.toml` |
//! | `metrics` | counts and times every operation through the `metrics` facade |
//! | `testing` | [`testing`]: providers and a sealer that fail, lag or record |
//!
//! A service compiles the stores that it names and no other. Without `config`, build the manager
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
//! A function that returns a builder names its two slots, storage and keys, as [`Yes`] or [`No`].
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
//! # In an HTTP handler
//! One error type is enough: parsing, reading a field and every operation of the manager convert
//! into [`Error`]. It says which status to answer with. The text of an error never holds a secret;
//! it does name paths and backends, so log it and answer with the status alone.
//!
//! ```
//! use axum::extract::{Path, State};
//! use axum::http::StatusCode;
//! use axum::response::{IntoResponse, Response};
//! use cred::{CredentialId, CredentialManager, ScopeId};
//!
//! /// A cred error as an answer.
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
//!         // The cause of an error is its source: as this type, tracing records both.
//!         let error: &(dyn std::error::Error + 'static) = &self.0;
//!         tracing::error!(error, "a credential could not be used");
//!         let hint = StatusCode::from_u16(self.0.http_status_hint());
//!         let status = hint.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
//!         // Rounded up: a pause of 200 ms is not "at once".
//!         let pause = self.0.retry_after().map(|pause| pause.as_secs_f64().ceil().to_string());
//!         (status, pause.map(|seconds| [("retry-after", seconds)]), ()).into_response()
//!     }
//! }
//!
//! /// How many characters a tenant's key has; 404 where there is none.
//! async fn key_length(
//!     State(manager): State<CredentialManager>,
//!     Path(tenant): Path<String>,
//! ) -> Result<Response, Failed> {
//!     // `new` takes the tenant's name as one value: a `/` in it cannot reach into another scope.
//!     let tenant = manager.scoped(ScopeId::new("org", &tenant)?)?;
//!     let id = CredentialId::from_static("stripe-api-key");
//!     let Some(key) = tenant.retrieve(&id).await? else {
//!         return Ok(StatusCode::NOT_FOUND.into_response());
//!     };
//!     Ok(key.expose_secret()?.len().to_string().into_response())
//! }
//! # fn is_handler<H: axum::handler::Handler<T, CredentialManager>, T>(_: H) {}
//! # is_handler(key_length);
//! ```
//!
//! | what happened | [`ErrorClass`] | status |
//! |---|---|---|
//! | nothing is stored there (`rotate`, `update`; `retrieve` gives `None`) | `NotFound` | 404 |
//! | somebody else has changed it first, or it was not its turn | `Conflict`, `Transient` | 409 |
//! | the request is wrong: a name, a tag, a size | `InvalidRequest` | 400, 413 |
//! | outside the scope of the handle | `InvalidRequest` | 403 |
//! | the backend cannot do it, as `store_if` on AWS and Azure | `InvalidRequest` | 501 |
//! | the backend refuses this service | `Denied` | 502 |
//! | the backend is down, slow or throttles | `Transient` | 503 |
//! | a write may or may not have happened | `UnknownOutcome` | 504 |
//! | damaged data, a missing key, an expired credential, a full disk | `Broken` | 500 |
//! | the manager was shut down | `Broken` | 503 |
//!
//! ## ETag and If-Match
//! A [`Revision`] in double quotes is an `ETag`.
//! [`retrieve_versioned`](CredentialManager::retrieve_versioned) returns it for a GET. For a PUT,
//! [`store_if`](CredentialManager::store_if) takes the one of an `If-Match`, and creates with
//! `None`, as `If-None-Match: *` asks for. A `Conflict` is then 412, which the hint cannot know.
//! Where [`supports_conditional_updates`](CredentialManager::supports_conditional_updates) is
//! false, the backend has no revisions.
//!
//! ```
//! use cred::{Credential, CredentialId, CredentialManager, ErrorClass, Revision};
//!
//! fn etag(revision: &Revision) -> String {
//!     format!("\"{revision}\"")
//! }
//!
//! /// A PUT with a header `If-Match`, or with `None` for one with `If-None-Match: *`: the status, and the new `ETag`.
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
//! [`check_ready`](CredentialManager::check_ready) makes one read of the backend, which proves that
//! network, authentication and the permission to read in the handle's scope work. It needs no key.
//! Answer `/livez` without it: a restart does not repair a backend.
//!
//! ```
//! # use axum::extract::State;
//! # use axum::http::StatusCode;
//! # use cred::CredentialManager;
//! async fn readyz(State(manager): State<CredentialManager>) -> StatusCode {
//!     match manager.check_ready().await {
//!         Ok(()) => StatusCode::NO_CONTENT,
//!         Err(error) => {
//!             tracing::warn!(%error, "the backend of the credentials cannot be read");
//!             StatusCode::SERVICE_UNAVAILABLE
//!         }
//!     }
//! }
//! # fn is_handler<H: axum::handler::Handler<T, CredentialManager>, T>(_: H) {}
//! # is_handler(readyz);
//! ```
//!
//! # A background job
//! The [`RotationPolicy`] of a credential defines when it is due; nothing rotates by itself. This
//! job runs every hour until `stop` is cancelled, and completes the rotation that has begun. With
//! compare-and-set, every replica can run it: [`rotate_if_due`](CredentialManager::rotate_if_due)
//! rotates in one of them. On AWS and Azure, run it in one replica.
//!
//! ```
//! use std::time::Duration;
//!
//! use cred::{Credential, CredentialManager};
//! use tokio_util::sync::CancellationToken;
//!
//! async fn rotate_what_is_due(manager: CredentialManager, stop: CancellationToken) {
//!     let mut hour = tokio::time::interval(Duration::from_secs(60 * 60));
//!     while stop.run_until_cancelled(hour.tick()).await.is_some() {
//!         let found = match manager.validate_tree().await {
//!             Ok(found) => found,
//!             Err(error) => {
//!                 tracing::warn!(%error, "the credentials could not be looked at");
//!                 continue;
//!             }
//!         };
//!         for found in found {
//!             if stop.is_cancelled() {
//!                 return;
//!             }
//!             if found.result.is_rotation_due() {
//!                 if let Err(error) = rotate(&manager, &found.path).await {
//!                     tracing::error!(%error, path = %found.path, "could not be rotated");
//!                 }
//!             }
//!         }
//!     }
//! }
//!
//! async fn rotate(manager: &CredentialManager, path: &cred::CredentialPath) -> Result<(), cred::Error> {
//!     let fresh = new_value_from_the_issuer().await;
//!     // Tags and policy stay. The expiry stays as well where the new value has none: a credential
//!     // with the policy `before-expiry` needs a later one.
//!     match manager.at(path)?.rotate_if_due(&path.id, |_| fresh.clone()).await {
//!         Ok(Some(_)) => Ok(()),
//!         Ok(None) => Ok(revoke(fresh).await), // no longer due: another replica was faster
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
//! # Keys at run time
//! A service replaces its key without a restart. First the manager gets a ring with both keys: it
//! seals under the new one and still opens what is under the old one. Then everything is resealed,
//! and the old key is dropped:
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
//!     let new = SealingKey::create_file(new_file)?;
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
//! Copy the new key file to a safe place before anything is sealed under it, and name both keys in
//! the configuration until the re-key is complete, so that a restart finds them.
//! [`set_keys`](CredentialManager::set_keys) says what several processes need, and when a re-key
//! must be repeated before the old key is dropped.
//!
//! # Shutdown
//! Stop in this order: the server, the jobs, then [`shutdown`](CredentialManager::shutdown), which
//! completes the writes that have begun and refuses all further operations. `examples/service` in
//! the repository is a whole service on axum: tenants, conditional writes, this job, metrics and a
//! graceful shutdown.
//!
//! # Several fields
//! A type of your own is one credential. Its secret fields serialize only while it is sealed, and a
//! credential of another kind is refused as [`CredentialError::WrongKind`]:
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
//! # A unit test
//! A test needs no server, and can take the backend down, with
//! `cargo add --dev cred-rs --features memory,testing`:
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
//! let down = StorageErrorKind::Unreachable { reason: "the test says so".into() };
//! storage.always(Operation::Retrieve, Fault::Refuse(down));
//! let error = manager.retrieve(&id).await.unwrap_err();
//! assert_eq!(error.http_status_hint(), 503);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A provider of your own
//! Implement `Backend` of the crate `cred-provider-kit` (four methods), or [`StorageProvider`]
//! itself, and prove it with the suite of `cred-conformance`. `docs/writing-a-provider.md` in the
//! repository is the way through it. The manager takes it like any other:
//! `.storage(MyProvider::new())`.
//!
//! # Single crates
//! Each store, the manager and the contract are crates of their own, for a library that must not
//! choose for its users. Depend on `cred-core` alone to take or give credentials.

pub use cred_core::{
    ConfigError, CreatedBy, Credential, CredentialError, CredentialFilter, CredentialId, CredentialKind,
    CredentialMetadata, CredentialPath, ErrorClass, ExposeSecret, FieldName, FormatProblem, KeyId, KindName,
    Lifecycle, Login, Operation, ParseError, ProviderConfig, RetryPolicy, Revision, RotationPolicy, ScopeId,
    SealError, Sealer, SecretSlice, SecretString, StorageError, StorageErrorKind, StorageMetrics,
    StorageProvider, Tags, Target, Timestamp, TypedCredential, Versioned, field, sealed,
};
/// Called `ManagerError` in `cred-manager`, whose documentation uses that name.
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

/// Doubles for the tests of services: wrap any provider or sealer, and make it fail, lag or record.
#[cfg(feature = "testing")]
pub mod testing {
    pub use cred_conformance::doubles::{Alter, Call, FailingSealer, Fault, Faulty, Lagging, Recording};
}

#[cfg(all(doctest, feature = "config"))]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../README.md")]
struct Readme;
