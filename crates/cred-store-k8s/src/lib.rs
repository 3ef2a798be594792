//! Stores sealed credentials in the Secrets of one Kubernetes namespace.
//!
//! Each credential is one Secret. Every write is conditional on the resource version, and the
//! provider never lists, returns or changes a Secret that does not belong to its store. A read of a
//! credential requests the Secret with its name, whoever owns it, and discards a foreign one.
//!
//! ```no_run
//! use cred_core::{CredentialContext, StorageProvider};
//! use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = KubernetesSecretsConfig::default().with_namespace("payments");
//! let provider = KubernetesSecretsProvider::new(config)?;
//! provider.connect().await?;
//! let ids = provider.list(None, &CredentialContext::unscoped()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Required permissions
//! ```yaml
#![doc = include_str!("../role.yaml")]
//! ```
//! A program that only reads needs `get` and `list`. If a permission is missing, the error is
//! [`PermissionDenied`](cred_core::StorageErrorKind::PermissionDenied) and names the verb, the
//! resource, the namespace and the user.
//!
//! # Authentication
//! - **Kubeconfig**, in the format of `kubectl`: with a token, a token file, a certificate, or a
//!   program that returns credentials. If a kubeconfig exists but is invalid, the constructor
//!   fails; it does not fall back to another identity.
//! - **Service account of the pod**, if no kubeconfig exists.
//!
//! A token file is read again every minute, and immediately if the API server refuses the token. So
//! a token that was replaced on disk is picked up within the operation. A credential program runs
//! at the first use, and again when its token is about to expire; a certificate that it returned is
//! not renewed.
//!
//! The certificate of the API server is always verified. Plain http is accepted for loopback
//! addresses only. The provider does not use proxies;
//! [`KubernetesSecretsProvider::with_client`] accepts a client that does.
//!
//! # Storage layout
//! The credential `db-password` of the scope `org:acme` is the Secret
//! `nebula-cred-org-cacme-sdb--password` of type `Opaque`. Its only field, `envelope`, contains the
//! sealed credential. Names follow [`naming`](cred_provider_kit::naming); a name that would be too
//! long for Kubernetes is hashed.
//!
//! | label or annotation | contents |
//! |---|---|
//! | label `cred-rs.github.io/store` | the digest of the prefix, which identifies the store |
//! | labels `cred-rs.github.io/scope-1`, `-2`, .. | the digests of the scope and of each scope above it, from the top; lists select by them |
//! | one label for each tag that is a valid label | the tag; filters select by it before they read the envelope |
//! | annotation `cred-rs.github.io/path` | the exact path |
//! | annotation `cred-rs.github.io/metadata` | times, version, creator and, as `tags`, all other tags; for information only; the provider does not use it |
//! | annotation `cred-rs.github.io/write` | a new random number with each write, so that each write creates a new resource version |
//!
//! ## Tags
//! A tag becomes a label if Kubernetes accepts it as one: up to 63 of `A-Z a-z 0-9 - _ .`, with a
//! letter or digit at either end. Any other tag, such as `owner=alice@example.com`, goes into the
//! metadata annotation. Filters find both kinds, since labels only preselect Secrets and the
//! envelope decides. A filter with tags of the second kind alone reads the contents of all Secrets.
//!
//! A tag is refused if its key is that of a
//! [default label](KubernetesSecretsConfig::default_labels) or begins with `cred-rs.github.io/`.
//! Every principal that can list Secrets can read the tags.
//!
//! # Ownership
//! A Secret belongs to this store only if it has the store's label, the path annotation, and the
//! name of the path in that annotation. For any other Secret, whatever its name:
//!
//! - Lists leave it out, and reads report that the credential does not exist.
//! - A delete does nothing.
//! - A store fails and reports that the name is taken.
//!
//! Removing the label or the path annotation therefore removes a Secret from the store. A store
//! keeps the annotations, owners and finalizers that others have added to a Secret, but not their
//! labels.
//!
//! # Requests per operation
//! | operation | requests to the API server |
//! |---|---|
//! | retrieve | 1 |
//! | exists | 1, without the data |
//! | store | 2: a read without the data, and a write; both again if another writer was faster |
//! | store_if with a revision | 2 |
//! | store_if without a revision | 1 |
//! | delete | 2; 1 if the credential does not exist |
//! | list, list_tree | 1 for every 500 Secrets, without their data |
//! | list, list_tree with a filter | 1 for every 250 Secrets that have the tags; pages of more than 8 MiB are read in smaller ones |
//!
//! A list keeps only the paths of each page in memory. If the rest of a list has expired in
//! Kubernetes, the provider starts the list again.
//!
//! # Consistency
//! - Reads and lists return the latest state in etcd, so a write is visible as soon as it succeeds.
//! - Every write either names the resource version that it replaces, or creates a Secret that must
//!   not exist. So a write that arrives late, after its caller has cancelled it, cannot undo a
//!   newer one.
//!
//! # Error mapping
//! | cause | error |
//! |---|---|
//! | no connection | `Unreachable` |
//! | the connection ends before the response does, or a server error (500, 503, 504) | `Unavailable`; for a write `InDoubt` |
//! | a response that is not from Kubernetes, such as a page of a proxy | `Unavailable` with host and port; for a write `InDoubt` |
//! | a server certificate that has expired, is for another host, or is from an unknown authority | `AuthenticationFailed` with the reason |
//! | 429 | `Throttled`, with the pause that the server asks for |
//! | 401 | retried with a newer token from the file, or else `AuthenticationFailed` |
//! | 403, also for an exceeded quota or a terminating namespace | `PermissionDenied` with the reason from Kubernetes |
//! | the namespace does not exist | `InvalidRequest` for stores; for reads it looks empty, as Kubernetes reports it |
//! | an immutable Secret | `InvalidRequest` for stores, or replaced if [`replace_immutable`](KubernetesSecretsConfig::replace_immutable) is set; it can be deleted |
//! | a deleted Secret that waits for finalizers of others | `NotFound` for reads, `Busy` for stores |
//!
//! Messages from Kubernetes are quoted, shortened, and with the token removed in case a server
//! repeats it.
//!
//! # Limits
//! - A value has up to 1 MiB, counted as Kubernetes does, before base64
//!   ([`MaxSecretSize`](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size)).
//! - Kubernetes accepts 256 KiB of annotations. The provider needs at most 64 KiB, for 50 tags with
//!   keys of 128 bytes and values of 256, and
//!   [`default_annotations`](KubernetesSecretsConfig::default_annotations) may have as many; the
//!   rest is left to other users of the Secret.
//! - The API server works on a request for up to 60 s after its client has disconnected
//!   ([`--request-timeout`](https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/)).
//!   For that long, a write whose outcome is unknown may still become visible.
//! - etcd stores Secrets unencrypted unless the cluster encrypts them. Credentials are sealed in
//!   either case.
//!
//! # Features
//! `default-kubernetes-version` (default) selects a version for `k8s-openapi`, without which kube
//! does not compile. Turn it off if your program selects one itself: two selections do not compile
//! together.
//!
//! # Why kube's client is not used
//! kube (5.0) provides kubeconfigs, credentials and TLS. The requests are made here, because kube's
//! client:
//!
//! - logs an ERROR event for each failed request, even if it is retried;
//! - logs the whole body of a response that it cannot parse;
//! - is bound to the runtime that created it;
//! - uses a token that the server has refused for up to another minute;
//! - drops response headers, such as `Retry-After`, in its typed calls.
//!
//! The retries of kube are off.

mod auth;
mod client;
mod config;
mod error;
mod marks;
mod provider;

pub use config::KubernetesSecretsConfig;
pub use provider::KubernetesSecretsProvider;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use provider::fuzzing;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
