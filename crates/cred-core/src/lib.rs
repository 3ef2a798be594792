//! Types, traits and errors of the `cred` credential manager.
//!
//! With `cred`, a Rust service encrypts its credentials itself ("sealing") and stores them, per
//! tenant, in the backend that its operators already run. This crate is the contract between the
//! parts. It contains no backend, cryptography, TLS or async runtime, so a storage provider can
//! depend on it alone.
//!
//! | you want to | start at |
//! |---|---|
//! | support a new backend | [`StorageProvider`], its abilities [`CompareAndSet`] and [`SoftDelete`] |
//! | intercept each call of a provider | [`Wrapper`] |
//! | create or read a credential | [`Credential`], [`CredentialKind`], [`TypedCredential`], [`CredentialMetadata`] |
//! | name a credential | [`CredentialId`], [`ScopeId`], [`CredentialPath`] |
//! | seal with your own key service (a KMS) | [`Sealer`] |
//! | handle errors | [`StorageError`], [`SealError`], [`ConfigError`], [`ParseError`] |
//!
//! ```
//! use cred_core::{CredentialId, CredentialPath, ScopeId};
//!
//! let id: CredentialId = "stripe-api-key".parse()?;
//! let scope: ScopeId = "org:acme/team:payments".parse()?;
//! let path = CredentialPath::new(Some(scope), id);
//! assert_eq!(path.to_string(), "org:acme/team:payments/stripe-api-key");
//! # Ok::<(), cred_core::ParseError>(())
//! ```
//!
//! # Secrets
//! This crate never prints a secret: every type that can hold one has a manual `Debug`, no error
//! contains a value, and buffers are wiped when they are dropped. With [`sealed`], your own type
//! can hold a [`SecretString`] that serializes only into a [`Credential`].

mod text;

mod abilities;
mod config;
mod context;
mod credential;
mod description;
mod encrypted;
mod error;
mod error_class;
mod filter;
mod id;
mod metadata;
mod metrics;
mod operation;
mod parse_error;
mod path;
mod provider;
mod report;
mod retry;
mod rotation;
mod scope;
pub mod sealed;
mod sealer;
mod tags;
mod timestamp;
mod wrapper;

pub use abilities::{CompareAndSet, Revision, SoftDelete, Versioned};
pub use config::{ConfigError, ProviderConfig};
pub use context::CredentialContext;
pub use credential::{
    Credential, CredentialError, CredentialKind, FieldName, FormatProblem, KindName, Lifecycle, Login,
    TypedCredential, field,
};
pub use description::{Consistency, Description, Limits};
pub use encrypted::{EncryptedData, SealVersion, WrappedKey};
pub use error::{StorageError, StorageErrorKind, StorageResult, Target};
pub use error_class::ErrorClass;
pub use filter::CredentialFilter;
pub use id::{CredentialId, KeyId};
pub use metadata::{CreatedBy, CredentialMetadata, UnknownFields};
pub use metrics::StorageMetrics;
pub use operation::Operation;
pub use parse_error::ParseError;
pub use path::{CredentialPath, PathRef};
pub use provider::{Sealed, StorageProvider};
pub use report::fmt_report;
pub use retry::RetryPolicy;
pub use rotation::RotationPolicy;
pub use scope::ScopeId;
pub use sealer::{Opened, SealError, Sealer};
pub use tags::Tags;
pub use timestamp::Timestamp;
pub use wrapper::{Call, Wrapper};

pub use async_trait::async_trait;
pub use secrecy::{ExposeSecret, SecretSlice, SecretString};
pub use zeroize::Zeroizing;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
