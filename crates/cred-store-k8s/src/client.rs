//! Calls to the API server: one for each function, and no retries.
//!
//! kube gives the credentials, the TLS settings and the headers; requests and answers are written
//! and read here. Its typed calls lose the headers (`Retry-After`), write an answer that they
//! cannot read into the log, whole, and read a whole list at once.

mod access;
mod answer;
mod connection;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use cred_core::{Revision, StorageError, StorageResult};
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request};
use kube::client::Body;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use self::access::Access;
use self::answer::Page;
pub(crate) use self::answer::{Answer, Identity, Metadata, Secret};
use self::connection::Connection;
use crate::auth::Token;
use crate::error::{Failure, Place, Refusal};
use crate::marks::Marked;

/// The longest answer that is read. Of one secret it is far more than there can be; a page of
/// several is asked for anew and shorter.
const LONGEST: usize = 8 * 1_024 * 1_024;

const WHOLE: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// One namespace of one cluster.
pub(crate) struct Client {
    connection: Connection,
    namespace: String,
    /// Where its secrets are.
    base: String,
}

/// A part of a list.
#[derive(Debug)]
pub(crate) enum Listed<T> {
    Page(Page<T>),
    /// The rest of the list has expired: restart the list, or fail with this error.
    Expired(StorageError),
    /// The page would be too long: it has to be asked for in smaller ones.
    TooLong,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) selector: &'a str,
    pub(crate) limit: u32,
    /// Where the part before ended; `None`: the first.
    pub(crate) next: Option<&'a str>,
}

/// A request, to be sent once or twice.
struct Call<'a> {
    place: Place<'a>,
    method: Method,
    uri: String,
    accept: &'static str,
    body: Option<Bytes>,
}

impl Client {
    /// `connect_timeout` bounds the making of a connection.
    pub(crate) fn new(
        access: Access,
        namespace: &str,
        connect_timeout: Duration,
    ) -> Result<Self, &'static str> {
        Ok(Self::over(Connection::new(access, connect_timeout)?, namespace))
    }

    /// With the connection and the credentials of the caller's own client.
    pub(crate) fn of_sdk(client: kube::Client, namespace: &str) -> Self {
        Self::over(Connection::given(client), namespace)
    }

    fn over(connection: Connection, namespace: &str) -> Self {
        let base = format!("/api/v1/namespaces/{namespace}/secrets");
        Self { connection, namespace: namespace.to_owned(), base }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where a call goes, for errors.
    pub(crate) fn place<'a>(&'a self, verb: &'static str, name: Option<&'a str>) -> Place<'a> {
        Place { verb, namespace: &self.namespace, name }
    }

    /// Reads a secret. `None`: there is none of that name.
    pub(crate) async fn read(&self, name: &str) -> StorageResult<Option<Secret>> {
        let call = self.get(name, WHOLE);
        match self.found(&call).await? {
            Some(answer) => Ok(Some(answer.secret().ok_or_else(|| answer.foreign())?)),
            None => Ok(None),
        }
    }

    /// Reads all of a secret but its data.
    pub(crate) async fn look(&self, name: &str) -> StorageResult<Option<Metadata>> {
        let call = self.get(name, METADATA);
        match self.found(&call).await? {
            Some(answer) => Ok(Some(answer.metadata().ok_or_else(|| answer.foreign())?)),
            None => Ok(None),
        }
    }

    /// Creates a secret where there is none of its name.
    pub(crate) async fn create(&self, name: &str, body: Bytes) -> Result<Revision, Failure> {
        let uri = self.base.clone();
        let place = self.place("create", Some(name));
        let call = Call { place, method: Method::POST, uri, accept: METADATA, body: Some(body) };
        let answer = self.answer(&call).await?;
        match answer.status {
            200..=299 => Ok(answer.revision().ok_or_else(|| answer.foreign())?),
            _ => match answer.refusal() {
                refusal if refusal.is_presence() => {
                    Err(Failure::changed("something is stored there already"))
                }
                refusal => Err(self.refused(&refusal, &call.place).await.into()),
            },
        }
    }

    /// Replaces a secret where it is still the one that the body was made of.
    pub(crate) async fn replace(&self, name: &str, body: Bytes) -> Result<Revision, Failure> {
        let place = self.place("update", Some(name));
        let call =
            Call { place, method: Method::PUT, uri: self.uri(name), accept: METADATA, body: Some(body) };
        let answer = self.answer(&call).await?;
        match answer.status {
            200..=299 => Ok(answer.revision().ok_or_else(|| answer.foreign())?),
            _ => match answer.refusal() {
                refusal if refusal.is_conflict() || refusal.is_absence() => {
                    Err(Failure::changed("another revision is stored"))
                }
                refusal if refusal.is_immutable() => Err(Failure::immutable(&call.place)),
                refusal => Err(self.refused(&refusal, &call.place).await.into()),
            },
        }
    }

    /// Deletes exactly this secret, as it was seen.
    pub(crate) async fn delete(&self, seen: &Identity) -> Result<(), Failure> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": seen.uid(), "resourceVersion": seen.version()},
        });
        let place = self.place("delete", Some(seen.name()));
        let body = Some(Bytes::from(options.to_string()));
        let call = Call { place, method: Method::DELETE, uri: self.uri(seen.name()), accept: METADATA, body };
        let answer = self.answer(&call).await?;
        match answer.status {
            200..=299 if answer.is_an_object() => Ok(()),
            200..=299 => Err(answer.foreign().into()),
            _ => match answer.refusal() {
                refusal if refusal.is_absence() => Err(Failure::gone()),
                refusal if refusal.is_conflict() => Err(Failure::changed("another revision is stored")),
                refusal => Err(self.refused(&refusal, &call.place).await.into()),
            },
        }
    }

    /// Lists all of the secrets but their data.
    pub(crate) async fn names(&self, part: Part<'_>) -> StorageResult<Listed<Identity>> {
        self.list(part, METADATA_LIST, Answer::names).await
    }

    /// Lists secrets with their data.
    pub(crate) async fn contents(&self, part: Part<'_>) -> StorageResult<Listed<Secret>> {
        self.list(part, WHOLE, Answer::contents).await
    }

    async fn list<T>(
        &self,
        part: Part<'_>,
        accept: &'static str,
        parse: impl FnOnce(&Answer) -> Option<Page<T>>,
    ) -> StorageResult<Listed<T>> {
        let place = self.place("list", None);
        let call = Call { place, method: Method::GET, uri: self.query(part), accept, body: None };
        let answer = self.send(&call).await?;
        match answer.status {
            200 if answer.cut => Ok(Listed::TooLong),
            200 => Ok(Listed::Page(parse(&answer).ok_or_else(|| answer.foreign())?)),
            _ => {
                let refusal = answer.refusal();
                let error = self.refused(&refusal, &call.place).await;
                if refusal.is_expiry() { Ok(Listed::Expired(error)) } else { Err(error) }
            }
        }
    }

    fn get<'a>(&'a self, name: &'a str, accept: &'static str) -> Call<'a> {
        let place = self.place("get", Some(name));
        Call { place, method: Method::GET, uri: self.uri(name), accept, body: None }
    }

    fn query(&self, part: Part<'_>) -> String {
        let mut query = form_urlencoded::Serializer::new(format!("{}?", self.base));
        query.append_pair("labelSelector", part.selector).append_pair("limit", &part.limit.to_string());
        query.extend_pairs(part.next.map(|next| ("continue", next)));
        query.finish()
    }

    fn uri(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// An answer with a good status, or nothing where nothing is.
    async fn found(&self, call: &Call<'_>) -> StorageResult<Option<Answer>> {
        let answer = self.answer(call).await?;
        match answer.status {
            200 => Ok(Some(answer)),
            _ => match answer.refusal() {
                refusal if refusal.is_absence() => Ok(None),
                refusal => Err(self.refused(&refusal, &call.place).await),
            },
        }
    }

    /// A whole answer.
    async fn answer(&self, call: &Call<'_>) -> StorageResult<Answer> {
        let answer = self.send(call).await?;
        match answer.cut {
            false => Ok(answer),
            true => Err(answer.foreign()),
        }
    }

    /// Sends a request; once more where the token was refused and has been replaced meanwhile.
    async fn send(&self, call: &Call<'_>) -> StorageResult<Answer> {
        let Some(file) = self.connection.token_file() else {
            return self.connection.send(call.request(None)?, LONGEST).await;
        };
        let token = file.current().await?;
        let answer = self.connection.send(call.request(Some(&token))?, LONGEST).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        match file.instead_of(&token).await {
            Some(token) => self.connection.send(call.request(Some(&token))?, LONGEST).await,
            None => Ok(answer),
        }
    }

    async fn refused(&self, refusal: &Refusal, place: &Place<'_>) -> StorageError {
        let token = match self.connection.token_file() {
            Some(file) => file.current().await.ok(),
            None => None,
        };
        let mut hide = self.connection.hidden();
        hide.extend(token.as_ref().map(|token| token.hidden()));
        refusal.explain(place, &hide)
    }
}

impl Call<'_> {
    fn request(&self, token: Option<&Token>) -> StorageResult<Request<Body>> {
        const AGENT: &str = concat!("cred-store-k8s/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.uri)
            .header(ACCEPT, HeaderValue::from_static(self.accept))
            .header(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, token.header());
        }
        let body = match &self.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, HeaderValue::from_static(WHOLE));
                Body::from(body.clone())
            }
            None => Body::empty(),
        };
        request
            .body(body)
            .map_err(|_| StorageError::other(format!("no request could be made for {}", self.place)))
    }
}

/// The body that makes a new secret.
pub(crate) fn created(name: &str, marked: &Marked, envelope: &str) -> StorageResult<Bytes> {
    let metadata = Map::from_iter([
        ("name".to_owned(), name.into()),
        ("labels".to_owned(), text_map(&marked.labels)),
        ("annotations".to_owned(), text_map(&marked.annotations)),
    ]);
    object(&metadata, envelope)
}

/// The body that replaces a secret. Its labels and its data are the credential's alone; what others
/// have added else stays. It holds the resource version, so that it replaces what was seen and
/// nothing newer.
pub(crate) fn replaced(seen: &Metadata, marked: &Marked, envelope: &str) -> StorageResult<Bytes> {
    let mut metadata = seen.all.clone();
    metadata.remove("managedFields");
    metadata.insert("labels".to_owned(), text_map(&marked.labels));
    match metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        Some(annotations) => {
            annotations
                .extend(marked.annotations.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
        }
        None => drop(metadata.insert("annotations".to_owned(), text_map(&marked.annotations))),
    }
    object(&metadata, envelope)
}

fn text_map(map: &BTreeMap<String, String>) -> Value {
    map.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

fn object(metadata: &Map<String, Value>, envelope: &str) -> StorageResult<Bytes> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Object<'a> {
        api_version: &'static str,
        kind: &'static str,
        r#type: &'static str,
        metadata: &'a Map<String, Value>,
        data: Data<'a>,
    }
    #[derive(Serialize)]
    struct Data<'a> {
        envelope: &'a str,
    }
    let data = Data { envelope };
    let object = Object { api_version: "v1", kind: "Secret", r#type: "Opaque", metadata, data };
    let body = serde_json::to_vec(&object)
        .map_err(|_| StorageError::invalid_request("the secret cannot be written as JSON"))?;
    Ok(Bytes::from(body))
}
