//! The API server's answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::{Revision, StorageError, StorageResult};
use cred_provider_kit::Foreign;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tower::BoxError;

use crate::error::{Refusal, broken};

/// What tells a secret from others, and whether it is ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    name: String,
    uid: String,
    resource_version: String,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    annotations: Annotations,
    #[serde(default)]
    deletion_timestamp: Present,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Labels {
    #[serde(rename = "cred-rs.github.io/store")]
    store: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "cred-rs.github.io/path")]
    path: Option<String>,
}

/// Whether a field is there.
#[derive(Debug, Clone, Copy, Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|found| Self(found.is_some()))
    }
}

impl Identity {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    /// The resource version, which no other state of any secret has.
    pub(crate) fn version(&self) -> &str {
        &self.resource_version
    }

    /// The same, as the revision of the credential.
    pub(crate) fn revision(&self) -> Revision {
        Revision::new(self.version())
    }

    pub(crate) fn store(&self) -> Option<&str> {
        self.labels.store.as_deref()
    }

    pub(crate) fn path(&self) -> Option<&str> {
        self.annotations.path.as_deref()
    }

    /// Whether it was deleted and stays only until others have taken their finalizers from it.
    pub(crate) fn is_terminating(&self) -> bool {
        self.deletion_timestamp.0
    }
}

/// All of a secret but its data.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) identity: Identity,
    /// As it was read, with what only others know.
    pub(crate) all: Map<String, Value>,
}

/// A secret with its data.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) identity: Identity,
    /// `None`: it has no such field, or one that is no base64.
    pub(crate) envelope: Option<Vec<u8>>,
}

/// A part of a list, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(super) status: u16,
    /// Whether it was longer than what is read.
    pub(super) cut: bool,
    retry_after: Option<Duration>,
    /// Host and port of what answered; `None`: the caller's own client asked.
    address: Option<Arc<str>>,
    content_type: Option<HeaderValue>,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct OnlyMetadata {
    metadata: Identity,
}

#[derive(Deserialize)]
struct Whole<'a> {
    metadata: Identity,
    #[serde(borrow, default)]
    data: Data<'a>,
}

#[derive(Default, Deserialize)]
struct Data<'a> {
    envelope: Option<&'a str>,
}

impl Answer {
    /// An answer that no server gave.
    #[cfg(fuzzing)]
    pub(crate) fn made_up(status: u16, body: &[u8]) -> Self {
        let body = body.to_vec();
        Self { status, cut: false, retry_after: None, address: None, content_type: None, body }
    }

    /// Reads an answer to its end, or to `longest` bytes.
    pub(super) async fn of<B>(
        response: Response<B>,
        address: Option<Arc<str>>,
        longest: usize,
    ) -> StorageResult<Self>
    where
        B: Body<Data = bytes::Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        // The other form of the header is a date, which the API server does not give and which
        // needs clocks that agree.
        let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let mut stream = response.into_body();
        let announced = stream.size_hint().lower().try_into().unwrap_or(longest);
        let mut body = Vec::with_capacity(announced.min(longest).min(1_024 * 1_024));
        let mut cut = false;
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(|error| broken(&*error.into(), address.as_deref()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if body.len().saturating_add(chunk.len()) > longest {
                cut = true;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, cut, retry_after, address, content_type, body })
    }

    /// The error of an answer with a good status that Kubernetes does not give.
    pub(crate) fn foreign(&self) -> StorageError {
        self.described().error("the cluster in the kubeconfig")
    }

    fn described(&self) -> Foreign<'_> {
        Foreign {
            service: "Kubernetes",
            address: self.address.as_deref(),
            content_type: self.content_type.as_ref().and_then(|value| value.to_str().ok()),
            body: Some(&*self.body).filter(|_| !self.cut),
        }
    }

    /// Whether it is an object of the API, as a `Status` and a secret are.
    pub(super) fn is_an_object(&self) -> bool {
        #[derive(Deserialize)]
        struct Object {
            #[serde(rename = "kind")]
            _kind: String,
        }
        serde_json::from_slice::<Object>(&self.body).is_ok()
    }

    pub(crate) fn secret(&self) -> Option<Secret> {
        serde_json::from_slice::<Whole<'_>>(&self.body).ok().map(Secret::from)
    }

    pub(super) fn metadata(&self) -> Option<Metadata> {
        #[derive(Deserialize)]
        struct Outer {
            metadata: Map<String, Value>,
        }
        let OnlyMetadata { metadata: identity } = serde_json::from_slice(&self.body).ok()?;
        let Outer { metadata: all } = serde_json::from_slice(&self.body).ok()?;
        Some(Metadata { identity, all })
    }

    /// The resource version of what was written.
    pub(super) fn revision(&self) -> Option<Revision> {
        let OnlyMetadata { metadata } = serde_json::from_slice(&self.body).ok()?;
        Some(metadata.revision())
    }

    pub(crate) fn names(&self) -> Option<Page<Identity>> {
        self.page::<OnlyMetadata, _>(|item| item.metadata)
    }

    pub(crate) fn contents(&self) -> Option<Page<Secret>> {
        self.page::<Whole<'_>, _>(Secret::from)
    }

    fn page<'a, T: Deserialize<'a>, U>(&'a self, item: impl Fn(T) -> U) -> Option<Page<U>> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "T: Deserialize<'de>"))]
        struct List<T> {
            metadata: ListMetadata,
            /// `null` where there is none. An answer without it is not a list.
            #[serde(deserialize_with = "Option::deserialize")]
            items: Option<Vec<T>>,
        }
        #[derive(Deserialize)]
        struct ListMetadata {
            r#continue: Option<String>,
        }
        let List { metadata, items } = serde_json::from_slice::<List<T>>(&self.body).ok()?;
        let next = metadata.r#continue.filter(|next| !next.is_empty());
        Some(Page { items: items.into_iter().flatten().map(item).collect(), next })
    }

    pub(crate) fn refusal(&self) -> Refusal {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            kind: String,
            reason: String,
            message: String,
            details: Details,
        }
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Details {
            kind: Option<String>,
            retry_after_seconds: Option<u64>,
        }
        let status = serde_json::from_slice::<Status>(&self.body).ok();
        let status = status.filter(|status| status.kind == "Status").map(|status| {
            let Status { reason, message, details, .. } = status;
            (reason, message, details)
        });
        let (reason, message, details) = match status {
            Some((reason, message, details)) => (Some(reason), message, details),
            None => (None, self.described().to_string(), Details::default()),
        };
        let retry_after = self.retry_after.or(details.retry_after_seconds.map(Duration::from_secs));
        Refusal { status: self.status, reason, message, kind: details.kind, retry_after }
    }
}

impl From<Whole<'_>> for Secret {
    fn from(Whole { metadata, data }: Whole<'_>) -> Self {
        let envelope = data.envelope.and_then(|text| BASE64_STANDARD.decode(text).ok());
        Self { identity: metadata, envelope }
    }
}
