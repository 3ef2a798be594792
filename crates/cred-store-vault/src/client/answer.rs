//! Vault's answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{SecretString, StorageError, Zeroizing};
use cred_provider_kit::Foreign;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Grant, Token};
use crate::VaultVersions;
use crate::error::{Broken, Failure, Place, Refusal, wrapped};

/// The longest answer that is read: a list of some 500,000 names, or the longest value twice.
const LONGEST: usize = 64 * 1_024 * 1_024;

/// What is stored under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing ever, or nothing any more.
    Absent,
    /// A version that can be read.
    Live(Secret),
    /// One that is marked as deleted and can be recovered.
    Deleted { version: u64 },
    /// One whose value is gone.
    Destroyed { version: u64 },
}

impl Found {
    /// The version that can be read; `None`: there is none.
    pub(crate) fn live(self) -> Option<Secret> {
        match self {
            Self::Live(secret) => Some(secret),
            Self::Absent | Self::Deleted { .. } | Self::Destroyed { .. } => None,
        }
    }
}

/// A version with its value.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) version: Version,
    /// `None`: the secret was not written by this library.
    pub(crate) envelope: Option<String>,
}

/// Which version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Version {
    #[serde(rename = "version")]
    pub(crate) number: u64,
    /// Numbers begin anew after a deletion for good; the time tells the generations apart.
    #[serde(rename = "created_time")]
    pub(crate) created: String,
}

/// What kind of engine a mount is.
#[derive(Deserialize)]
pub(super) struct Engine {
    #[serde(rename = "type")]
    kind: String,
    options: Option<HashMap<String, String>>,
}

impl Engine {
    pub(super) fn is(&self, kind: &str, version: &str) -> bool {
        let found = self.options.as_ref().and_then(|options| options.get("version"));
        self.kind == kind && found.map_or("1", String::as_str) == version
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(super) status: u16,
    retry_after: Option<Duration>,
    /// Host and port of what answered.
    address: Option<Arc<str>>,
    content_type: Option<HeaderValue>,
    /// Wiped, since the answers about tokens hold them.
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// An answer that no server gave.
    #[cfg(fuzzing)]
    pub(crate) fn made_up(status: u16, body: &[u8]) -> Self {
        let body = Zeroizing::new(body.to_vec());
        Self { status, retry_after: None, address: None, content_type: None, body }
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn of(
        http: &reqwest::Client,
        request: reqwest::Request,
        address: Option<Arc<str>>,
    ) -> Result<Self, Failure> {
        let broken = |error: &reqwest::Error| {
            let (connected, address) = (!error.is_connect(), address.as_deref());
            StorageError::from(Broken { connected, address, cause: error })
        };
        let mut response = http.execute(request).await.map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let header = response.headers().get("Retry-After").and_then(|value| value.to_str().ok());
        // The other form of the header is a date, which Vault does not give and which needs clocks
        // that agree.
        let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let room = announced.unwrap_or_default().min(1_024 * 1_024);
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len().saturating_add(chunk.len()) > LONGEST {
                return Err(foreign(address.as_deref(), content_type.as_ref(), None).error(SETTING).into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, retry_after, address, content_type, body })
    }

    /// The error of an answer with a good status that Vault does not give.
    pub(crate) fn foreign(&self) -> StorageError {
        self.described().error(SETTING)
    }

    /// The failure of an answer with a good status that lacks the expected contents.
    pub(super) fn unreadable(&self, place: &Place<'_>) -> Failure {
        match self.is_wrapped() {
            true => wrapped(place).into(),
            false => self.foreign().into(),
        }
    }

    fn described(&self) -> Foreign<'_> {
        foreign(self.address.as_deref(), self.content_type.as_ref(), Some(&self.body))
    }

    /// The value under `data`.
    fn data<T: DeserializeOwned>(&self) -> Option<T> {
        #[derive(Deserialize)]
        struct Outer<T> {
            data: T,
        }
        serde_json::from_slice::<Outer<T>>(&self.body).ok().map(|outer| outer.data)
    }

    pub(crate) fn secret(&self) -> Option<Secret> {
        #[derive(Deserialize)]
        struct Data {
            data: Fields,
            metadata: Version,
        }
        #[derive(Deserialize)]
        struct Fields {
            envelope: Option<Field>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Field {
            Text(String),
            Other(IgnoredAny),
        }
        let Data { data, metadata } = self.data()?;
        let envelope = match data.envelope {
            Some(Field::Text(text)) => Some(text),
            Some(Field::Other(_)) | None => None,
        };
        Some(Secret { version: metadata, envelope })
    }

    /// What a 404 says of a secret; `None`: it is about something else.
    pub(crate) fn gone(&self) -> Option<Found> {
        #[derive(Deserialize)]
        struct Data {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            version: u64,
            destroyed: bool,
        }
        match self.data::<Data>() {
            Some(Data { metadata: Metadata { version, destroyed: false } }) => {
                Some(Found::Deleted { version })
            }
            Some(Data { metadata: Metadata { version, destroyed: true } }) => {
                Some(Found::Destroyed { version })
            }
            None => self.refusal().is_absence().then_some(Found::Absent),
        }
    }

    pub(super) fn written(&self) -> Option<Version> {
        self.data()
    }

    pub(super) fn versions(&self) -> Option<VaultVersions> {
        self.data()
    }

    pub(crate) fn keys(&self) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Outer {
            data: Option<Data>,
            request_id: Option<IgnoredAny>,
            warnings: Option<Vec<IgnoredAny>>,
            wrap_info: Option<IgnoredAny>,
        }
        #[derive(Deserialize)]
        struct Data {
            keys: Option<Vec<String>>,
        }
        let Outer { data, request_id, warnings, wrap_info } = serde_json::from_slice(&self.body).ok()?;
        // Vault answers an empty list with 404, unless it has warnings to report.
        let has_warnings = request_id.is_some() && warnings.is_some_and(|all| !all.is_empty());
        let empty = (has_warnings && wrap_info.is_none()).then(Vec::new);
        data.and_then(|data| data.keys).or(empty)
    }

    pub(super) fn engine(&self) -> Option<Engine> {
        self.data()
    }

    /// The token of a login. The bytes that it was read from are wiped; those of the HTTP client
    /// are not, nor, where the answer did not announce its length, those that grew too small for
    /// it.
    pub(crate) fn grant(&self) -> Option<Grant> {
        #[derive(Deserialize)]
        struct Outer {
            auth: Auth,
        }
        #[derive(Deserialize)]
        struct Auth {
            client_token: SecretString,
            lease_duration: u64,
            renewable: bool,
        }
        let Auth { client_token, lease_duration, renewable } =
            serde_json::from_slice::<Outer>(&self.body).ok()?.auth;
        let lease = Duration::from_secs(lease_duration);
        // It must go into a header, where anything else would be a panic of the SDK.
        let usable = |token: &SecretString| {
            let text = cred_core::ExposeSecret::expose_secret(token);
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Some(Grant { token: Some(client_token).filter(usable), lease, renewable })
    }

    /// What is left of a token's life.
    pub(super) fn life(&self) -> Option<Grant> {
        #[derive(Deserialize)]
        struct Data {
            ttl: u64,
            renewable: Option<bool>,
        }
        let Data { ttl, renewable } = self.data()?;
        Some(Grant { token: None, lease: Duration::from_secs(ttl), renewable: renewable.unwrap_or_default() })
    }

    pub(crate) fn refusal(&self) -> Refusal {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<String>,
        }
        let reasons = serde_json::from_slice::<Errors>(&self.body).map(|body| body.errors);
        let reasons = reasons.map_err(|_| self.described().to_string());
        Refusal { status: self.status, reasons, retry_after: self.retry_after }
    }

    /// Nothing where nothing is there, else why not.
    pub(super) fn unless_absent<T: Default>(&self, place: &Place<'_>, token: &Token) -> Result<T, Failure> {
        let refusal = self.refusal();
        match refusal.is_absence() {
            true => Ok(T::default()),
            false => Err(refusal.explain(place, token.hidden())),
        }
    }

    /// Whether it says that it was done.
    pub(super) fn done(&self, place: &Place<'_>, token: &Token) -> Result<(), Failure> {
        match self.status {
            204 => Ok(()),
            // With warnings.
            200 if self.is_vaults() && !self.is_wrapped() => Ok(()),
            200 => Err(self.unreadable(place)),
            _ => Err(self.refusal().explain(place, token.hidden())),
        }
    }

    /// Whether it holds a wrapping token in place of the contents.
    fn is_wrapped(&self) -> bool {
        #[derive(Deserialize)]
        struct Outer {
            wrap_info: Option<IgnoredAny>,
        }
        serde_json::from_slice::<Outer>(&self.body).is_ok_and(|outer| outer.wrap_info.is_some())
    }

    /// Whether it has what each of Vault's answers with a body has.
    fn is_vaults(&self) -> bool {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(rename = "request_id")]
            _request_id: IgnoredAny,
        }
        serde_json::from_slice::<Outer>(&self.body).is_ok()
    }
}

/// The setting that holds the address.
const SETTING: &str = "`address`";

fn foreign<'a>(
    address: Option<&'a str>,
    content_type: Option<&'a HeaderValue>,
    body: Option<&'a [u8]>,
) -> Foreign<'a> {
    let content_type = content_type.and_then(|value| value.to_str().ok());
    Foreign { service: "Vault", address, content_type, body }
}
