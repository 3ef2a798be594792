//! Sealed credentials in Kubernetes Secrets: namespaces, labels, compare-and-set, service accounts.
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
//! # In Kubernetes
//! The credential `db-password` of the scope `org:acme` is the secret
//! `nebula-cred-org-cacme-sdb--password`, of type `Opaque`, with one field, `envelope`: the sealed
//! credential. Names are those of [`naming`](cred_provider_kit::naming); what is longer than a name
//! can be is hashed.
//!
//! | label or annotation | holds |
//! |---|---|
//! | label `cred-rs.github.io/store` | the digest of the prefix: which store it belongs to |
//! | labels `cred-rs.github.io/scope-1`, `-2`, .. | the digest of the scope and of each above it, from the top: what lists select by |
//! | one label for each tag that can be one | the tag: what filters select by, before they look into the envelope |
//! | annotation `cred-rs.github.io/path` | the path, exactly |
//! | annotation `cred-rs.github.io/metadata` | times, version, creator and, as `tags`, all other tags; nothing is decided by it |
//! | annotation `cred-rs.github.io/write` | another random number with each write, so that each makes a new version |
//!
//! **Tags.** A tag can be a label if Kubernetes takes it as one: up to 63 of `A-Z a-z 0-9 - _ .`, a
//! letter or digit at either end. Any other tag, such as `owner=alice@example.com`, is a part of
//! the metadata annotation. Filters find both: labels only select the secrets that are read, and
//! the envelope decides. A filter by tags of the second kind alone reads all contents. A tag with
//! the key of a [default label](KubernetesSecretsConfig::default_labels) or of a mark above is
//! refused. Every identity that can list secrets can read tags.
//!
//! **Whose a secret is.** A secret belongs to this store exactly if it has the store's label and
//! its own path in the annotation, under the name of that path. Any other is somebody else's,
//! whatever its name: it is not listed, reads say that nothing is there, a deletion does nothing,
//! and a store says that it is in the way. Who takes the label or the annotation away takes the
//! secret over. What others have added to a secret of ours stays when it is stored anew:
//! annotations, owners, finalizers; labels do not.
//!
//! # What a Role needs
//! ```yaml
#![doc = include_str!("../role.yaml")]
//! ```
//! A program that only reads needs `get` and `list`. A refusal is [`PermissionDenied`](cred_core::StorageErrorKind::PermissionDenied) with the verb, the
//! resource, the namespace and the user.
//!
//! # Calls to the API server
//! | operation | calls |
//! |---|---|
//! | retrieve | 1 |
//! | exists | 1, without the data |
//! | store | 2: a look and a write; again where another writer comes between |
//! | store_if over a revision | 2 |
//! | store_if where nothing is | 1 |
//! | delete | 2; 1 where nothing is |
//! | list, list_tree | 1 for every 500 secrets, without their data |
//! | list, list_tree with a filter | 1 for every 250 secrets that have the tags; shorter pages where these exceed 8 MiB |
//!
//! Every write holds the resource version that was seen, or creates what must not be there. So one that lands late, after its
//! caller has given up, undoes nothing newer. A list that Kubernetes can no longer continue begins anew. Of each page only the paths are kept.
//!
//! # Who asks
//! A kubeconfig as `kubectl` takes it, with a token, a token file, a certificate or a program; or the service account of the pod. A
//! kubeconfig that is there and broken is an error, and no reason to be somebody else. A token file is read every minute, and at once when
//! the API server refuses the token: a token that was replaced on disk is exchanged within the operation.
//!
//! The certificate of the API server is always verified, and plain http is for the host itself alone. Proxies are not used;
//! [`KubernetesSecretsProvider::with_client`] takes a client that does. A program runs once at the first use and again when its token is
//! about to expire; a certificate that it gave is not renewed.
//!
//! # What is told apart
//! | seen | told as |
//! |---|---|
//! | no connection | `Unreachable` |
//! | a connection that ends in the answer, an error of the server (500, 503, 504) | `Unavailable`, a write is in doubt |
//! | an answer that is not one of Kubernetes, such as a page of a proxy | `Unavailable` with host and port, a write is in doubt |
//! | a certificate that is expired, for another host, or of another authority | `AuthenticationFailed`, saying which |
//! | 429 | `Throttled`, with the server's pause |
//! | 401 | another token from the file, or `AuthenticationFailed` |
//! | 403, also for a quota or an ending namespace | `PermissionDenied` with Kubernetes' reason |
//! | a namespace that does not exist | `InvalidRequest` for who stores; for who reads it looks empty, as Kubernetes has it |
//! | an immutable secret | `InvalidRequest`, or replaced where [`replace_immutable`](KubernetesSecretsConfig::replace_immutable) is set; it can be deleted |
//! | a secret that waits for others' finalizers | gone for who reads, `Busy` for who stores |
//!
//! Kubernetes' own words are repeated, shortened and without the token, should a server echo it.
//!
//! # Limits
//! - A value has 1 MiB, counted as Kubernetes does, before base64
//!   ([`MaxSecretSize`](https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size)).
//! - Kubernetes takes 256 KiB of annotations. This library's own need at most 64 KiB, with 50 tags of 128
//!   bytes in the key and 256 in the value, and
//!   [`default_annotations`](KubernetesSecretsConfig::default_annotations) as many; the rest is left to
//!   other users of the secret.
//! - A request goes on for 60 s in the API server after its client has gone
//!   ([`--request-timeout`](https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/)): so long a write in
//!   doubt may still land.
//! - Consistent at once: reads and lists are answered from etcd's latest state.
//! - etcd holds secrets in the clear unless the cluster encrypts them; these are sealed in any case.
//!
//! # Features
//! `default-kubernetes-version` (default) chooses a version for `k8s-openapi`, without which kube does not build. Turn it off where your
//! own program chooses one: two choices do not build together.
//!
//! # Why not all of `kube`
//! Kubeconfigs, credentials and TLS are kube's. Its client (5.0) writes an event at ERROR for each request that fails, though it is
//! tried again, writes an answer that it cannot read into the log, whole, belongs to the runtime that it was made on, and goes on for up to a
//! minute with a token that the server has refused; its typed calls lose the headers, `Retry-After` among them. Retries are off.

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
