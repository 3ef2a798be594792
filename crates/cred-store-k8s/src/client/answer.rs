//! Parses the responses of the API server.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::{Revision, StorageError, StorageResult};
use cred_provider_kit::ForeignResponse;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tower::BoxError;

use crate::error::{ErrorResponse, connection_error};

/// The fields that identify a version of a Secret and its owner.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretIdentity {
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

/// Whether a field exists.
#[derive(Debug, Clone, Copy, Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|found| Self(found.is_some()))
    }
}

impl SecretIdentity {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    /// The resource version, which differs from that of every other state of any Secret.
    pub(crate) fn version(&self) -> &str {
        &self.resource_version
    }

    /// The resource version as the revision of the credential.
    pub(crate) fn revision(&self) -> Revision {
        Revision::new(self.version())
    }

    pub(crate) fn store(&self) -> Option<&str> {
        self.labels.store.as_deref()
    }

    pub(crate) fn path(&self) -> Option<&str> {
        self.annotations.path.as_deref()
    }

    /// Whether it was deleted and only waits for its finalizers to be removed.
    pub(crate) fn is_terminating(&self) -> bool {
        self.deletion_timestamp.0
    }
}

/// A Secret without its data.
#[derive(Debug)]
pub(crate) struct SecretMetadata {
    pub(crate) identity: SecretIdentity,
    /// All metadata as read, including fields that this library does not know.
    pub(crate) all: Map<String, Value>,
}

/// A Secret with its data.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) identity: SecretIdentity,
    /// `None`: the field does not exist, or is not base64.
    pub(crate) envelope: Option<Vec<u8>>,
}

/// A page of a list, and the continue token of the next one.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// A response with its body.
pub(crate) struct ApiResponse {
    pub(super) status: u16,
    /// Whether the body was longer than the limit, so that the rest is missing.
    pub(super) truncated: bool,
    retry_after: Option<Duration>,
    /// Host and port of the server; `None`: the caller's client sent the request.
    address: Option<Arc<str>>,
    content_type: Option<HeaderValue>,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct MetadataOnly {
    metadata: SecretIdentity,
}

#[derive(Deserialize)]
struct FullSecret<'a> {
    metadata: SecretIdentity,
    #[serde(borrow, default)]
    data: Data<'a>,
}

#[derive(Default, Deserialize)]
struct Data<'a> {
    envelope: Option<&'a str>,
}

impl ApiResponse {
    /// A response that no server sent.
    #[cfg(fuzzing)]
    pub(crate) fn fabricated(status: u16, body: &[u8]) -> Self {
        let body = body.to_vec();
        Self { status, truncated: false, retry_after: None, address: None, content_type: None, body }
    }

    /// Reads a response to its end, or up to `max_len` bytes.
    pub(super) async fn of<B>(
        response: Response<B>,
        address: Option<Arc<str>>,
        max_len: usize,
    ) -> StorageResult<Self>
    where
        B: Body<Data = bytes::Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        // The other form of the header is a date, which the API server does not send and which
        // needs synchronized clocks.
        let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let mut stream = response.into_body();
        let announced = stream.size_hint().lower().try_into().unwrap_or(max_len);
        let mut body = Vec::with_capacity(announced.min(max_len).min(1_024 * 1_024));
        let mut truncated = false;
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(|error| connection_error(&*error.into(), address.as_deref()))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if body.len().saturating_add(chunk.len()) > max_len {
                truncated = true;
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, truncated, retry_after, address, content_type, body })
    }

    /// The error of a successful response that Kubernetes would not send.
    pub(crate) fn unexpected_error(&self) -> StorageError {
        self.describe().error("the cluster in the kubeconfig")
    }

    fn describe(&self) -> ForeignResponse<'_> {
        ForeignResponse {
            service: "Kubernetes",
            address: self.address.as_deref(),
            content_type: self.content_type.as_ref().and_then(|value| value.to_str().ok()),
            body: Some(&*self.body).filter(|_| !self.truncated),
        }
    }

    /// Whether it is an object of the API, such as a `Status` or a Secret.
    pub(super) fn is_api_object(&self) -> bool {
        #[derive(Deserialize)]
        struct Object {
            #[serde(rename = "kind")]
            _kind: String,
        }
        serde_json::from_slice::<Object>(&self.body).is_ok()
    }

    pub(crate) fn secret(&self) -> Option<Secret> {
        serde_json::from_slice::<FullSecret<'_>>(&self.body).ok().map(Secret::from)
    }

    pub(super) fn metadata(&self) -> Option<SecretMetadata> {
        #[derive(Deserialize)]
        struct Outer {
            metadata: Map<String, Value>,
        }
        let MetadataOnly { metadata: identity } = serde_json::from_slice(&self.body).ok()?;
        let Outer { metadata: all } = serde_json::from_slice(&self.body).ok()?;
        Some(SecretMetadata { identity, all })
    }

    /// Returns the resource version of the written object.
    pub(super) fn revision(&self) -> Option<Revision> {
        let MetadataOnly { metadata } = serde_json::from_slice(&self.body).ok()?;
        Some(metadata.revision())
    }

    pub(crate) fn metadata_page(&self) -> Option<Page<SecretIdentity>> {
        self.page::<MetadataOnly, _>(|item| item.metadata)
    }

    pub(crate) fn secret_page(&self) -> Option<Page<Secret>> {
        self.page::<FullSecret<'_>, _>(Secret::from)
    }

    fn page<'a, T: Deserialize<'a>, U>(&'a self, item: impl Fn(T) -> U) -> Option<Page<U>> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "T: Deserialize<'de>"))]
        struct List<T> {
            metadata: ListMetadata,
            /// `null` if the list is empty. A response without it is not a list.
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

    pub(crate) fn error_response(&self) -> ErrorResponse {
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
            None => (None, self.describe().to_string(), Details::default()),
        };
        let retry_after = self.retry_after.or(details.retry_after_seconds.map(Duration::from_secs));
        ErrorResponse { status: self.status, reason, message, kind: details.kind, retry_after }
    }
}

impl From<FullSecret<'_>> for Secret {
    fn from(FullSecret { metadata, data }: FullSecret<'_>) -> Self {
        let envelope = data.envelope.and_then(|text| BASE64_STANDARD.decode(text).ok());
        Self { identity: metadata, envelope }
    }
}
