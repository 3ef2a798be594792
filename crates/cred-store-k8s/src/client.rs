//! Requests to the API server: one per function, without retries.
//!
//! kube provides the credentials, the TLS settings and the headers; requests are written and
//! responses are parsed here. kube's typed calls drop response headers (`Retry-After`), log the
//! whole body of a response that they cannot parse, and read a whole list at once.

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

pub(crate) use self::access::ClusterAccess;
use self::answer::Page;
pub(crate) use self::answer::{ApiResponse, Secret, SecretIdentity, SecretMetadata};
use self::connection::Connection;
use crate::auth::Token;
use crate::error::{Action, ErrorResponse, WriteFailure};
use crate::marks::SecretMarks;

/// The largest response body that is read. It is far more than one Secret can have; a larger page
/// of a list is requested again in smaller ones.
const MAX_BODY_LEN: usize = 8 * 1_024 * 1_024;

const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// One namespace of one cluster.
pub(crate) struct Client {
    connection: Connection,
    namespace: String,
    /// The URL path of its Secrets.
    base: String,
}

/// The response to a list request.
#[derive(Debug)]
pub(crate) enum ListResponse<T> {
    Page(Page<T>),
    /// The rest of the list has expired: restart the list, or fail with this error.
    Expired(StorageError),
    /// The page is too large: request it again in smaller ones.
    TooLarge,
}

/// Which page of a list is requested.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageRequest<'a> {
    pub(crate) selector: &'a str,
    pub(crate) limit: u32,
    /// The continue token of the previous page; `None`: this is the first page.
    pub(crate) next: Option<&'a str>,
}

/// A request, which is sent once or twice.
struct Call<'a> {
    action: Action<'a>,
    method: Method,
    uri: String,
    accept: &'static str,
    body: Option<Bytes>,
}

impl Client {
    /// `connect_timeout` is the maximum time to establish a connection.
    pub(crate) fn new(
        access: ClusterAccess,
        namespace: &str,
        connect_timeout: Duration,
    ) -> Result<Self, &'static str> {
        Ok(Self::with_connection(Connection::new(access, connect_timeout)?, namespace))
    }

    /// Uses the connection and the credentials of the caller's client.
    pub(crate) fn from_sdk(client: kube::Client, namespace: &str) -> Self {
        Self::with_connection(Connection::from_client(client), namespace)
    }

    fn with_connection(connection: Connection, namespace: &str) -> Self {
        let base = format!("/api/v1/namespaces/{namespace}/secrets");
        Self { connection, namespace: namespace.to_owned(), base }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Describes a request, for errors.
    pub(crate) fn action<'a>(&'a self, verb: &'static str, name: Option<&'a str>) -> Action<'a> {
        Action { verb, namespace: &self.namespace, name }
    }

    /// Reads a Secret. `None`: it does not exist.
    pub(crate) async fn read(&self, name: &str) -> StorageResult<Option<Secret>> {
        let call = self.get(name, JSON);
        match self.send_unless_absent(&call).await? {
            Some(response) => Ok(Some(response.secret().ok_or_else(|| response.unexpected_error())?)),
            None => Ok(None),
        }
    }

    /// Reads a Secret without its data. `None`: it does not exist.
    pub(crate) async fn read_metadata(&self, name: &str) -> StorageResult<Option<SecretMetadata>> {
        let call = self.get(name, METADATA);
        match self.send_unless_absent(&call).await? {
            Some(response) => Ok(Some(response.metadata().ok_or_else(|| response.unexpected_error())?)),
            None => Ok(None),
        }
    }

    /// Creates a Secret if none with its name exists.
    pub(crate) async fn create(&self, name: &str, body: Bytes) -> Result<Revision, WriteFailure> {
        let uri = self.base.clone();
        let action = self.action("create", Some(name));
        let call = Call { action, method: Method::POST, uri, accept: METADATA, body: Some(body) };
        let response = self.send_whole(&call).await?;
        match response.status {
            200..=299 => Ok(response.revision().ok_or_else(|| response.unexpected_error())?),
            _ => match response.error_response() {
                error_response if error_response.is_existing_secret() => {
                    Err(WriteFailure::changed("the credential already exists"))
                }
                error_response => Err(self.refusal_error(&error_response, &call.action).await.into()),
            },
        }
    }

    /// Replaces a Secret if it is still in the version from which the body was created.
    pub(crate) async fn replace(&self, name: &str, body: Bytes) -> Result<Revision, WriteFailure> {
        let action = self.action("update", Some(name));
        let call =
            Call { action, method: Method::PUT, uri: self.uri(name), accept: METADATA, body: Some(body) };
        let response = self.send_whole(&call).await?;
        match response.status {
            200..=299 => Ok(response.revision().ok_or_else(|| response.unexpected_error())?),
            _ => match response.error_response() {
                error_response if error_response.is_conflict() || error_response.is_absent_secret() => {
                    Err(WriteFailure::changed("another revision is stored"))
                }
                error_response if error_response.is_immutable() => Err(WriteFailure::immutable(&call.action)),
                error_response => Err(self.refusal_error(&error_response, &call.action).await.into()),
            },
        }
    }

    /// Deletes exactly this version of the Secret.
    pub(crate) async fn delete(&self, seen: &SecretIdentity) -> Result<(), WriteFailure> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": seen.uid(), "resourceVersion": seen.version()},
        });
        let action = self.action("delete", Some(seen.name()));
        let body = Some(Bytes::from(options.to_string()));
        let call =
            Call { action, method: Method::DELETE, uri: self.uri(seen.name()), accept: METADATA, body };
        let response = self.send_whole(&call).await?;
        match response.status {
            200..=299 if response.is_api_object() => Ok(()),
            200..=299 => Err(response.unexpected_error().into()),
            _ => match response.error_response() {
                error_response if error_response.is_absent_secret() => Err(WriteFailure::gone()),
                error_response if error_response.is_conflict() => {
                    Err(WriteFailure::changed("another revision is stored"))
                }
                error_response => Err(self.refusal_error(&error_response, &call.action).await.into()),
            },
        }
    }

    /// Lists Secrets without their data.
    pub(crate) async fn list_metadata(
        &self,
        part: PageRequest<'_>,
    ) -> StorageResult<ListResponse<SecretIdentity>> {
        self.list(part, METADATA_LIST, ApiResponse::metadata_page).await
    }

    /// Lists Secrets with their data.
    pub(crate) async fn list_secrets(&self, part: PageRequest<'_>) -> StorageResult<ListResponse<Secret>> {
        self.list(part, JSON, ApiResponse::secret_page).await
    }

    async fn list<T>(
        &self,
        part: PageRequest<'_>,
        accept: &'static str,
        parse: impl FnOnce(&ApiResponse) -> Option<Page<T>>,
    ) -> StorageResult<ListResponse<T>> {
        let action = self.action("list", None);
        let call = Call { action, method: Method::GET, uri: self.query(part), accept, body: None };
        let response = self.send(&call).await?;
        match response.status {
            200 if response.truncated => Ok(ListResponse::TooLarge),
            200 => Ok(ListResponse::Page(parse(&response).ok_or_else(|| response.unexpected_error())?)),
            _ => {
                let error_response = response.error_response();
                let error = self.refusal_error(&error_response, &call.action).await;
                if error_response.is_expired_list() { Ok(ListResponse::Expired(error)) } else { Err(error) }
            }
        }
    }

    fn get<'a>(&'a self, name: &'a str, accept: &'static str) -> Call<'a> {
        let action = self.action("get", Some(name));
        Call { action, method: Method::GET, uri: self.uri(name), accept, body: None }
    }

    fn query(&self, part: PageRequest<'_>) -> String {
        let mut query = form_urlencoded::Serializer::new(format!("{}?", self.base));
        query.append_pair("labelSelector", part.selector).append_pair("limit", &part.limit.to_string());
        query.extend_pairs(part.next.map(|next| ("continue", next)));
        query.finish()
    }

    fn uri(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// Sends a request. `None`: the Secret does not exist.
    async fn send_unless_absent(&self, call: &Call<'_>) -> StorageResult<Option<ApiResponse>> {
        let response = self.send_whole(call).await?;
        match response.status {
            200 => Ok(Some(response)),
            _ => match response.error_response() {
                error_response if error_response.is_absent_secret() => Ok(None),
                error_response => Err(self.refusal_error(&error_response, &call.action).await),
            },
        }
    }

    /// Sends a request. A response that is larger than the limit is an error.
    async fn send_whole(&self, call: &Call<'_>) -> StorageResult<ApiResponse> {
        let response = self.send(call).await?;
        match response.truncated {
            false => Ok(response),
            true => Err(response.unexpected_error()),
        }
    }

    /// Sends a request, and repeats it if the token was refused and has been replaced meanwhile.
    async fn send(&self, call: &Call<'_>) -> StorageResult<ApiResponse> {
        let Some(file) = self.connection.token_file() else {
            return self.connection.send(call.request(None)?, MAX_BODY_LEN).await;
        };
        let token = file.current().await?;
        let response = self.connection.send(call.request(Some(&token))?, MAX_BODY_LEN).await?;
        if response.status != 401 {
            return Ok(response);
        }
        match file.replacement_for(&token).await {
            Some(token) => self.connection.send(call.request(Some(&token))?, MAX_BODY_LEN).await,
            None => Ok(response),
        }
    }

    async fn refusal_error(&self, error_response: &ErrorResponse, action: &Action<'_>) -> StorageError {
        let token = match self.connection.token_file() {
            Some(file) => file.current().await.ok(),
            None => None,
        };
        let mut hide = self.connection.secrets();
        hide.extend(token.as_ref().map(|token| token.secret()));
        error_response.explain(action, &hide)
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
                request = request.header(CONTENT_TYPE, HeaderValue::from_static(JSON));
                Body::from(body.clone())
            }
            None => Body::empty(),
        };
        request
            .body(body)
            .map_err(|_| StorageError::other(format!("could not build a valid request for {}", self.action)))
    }
}

/// The body that creates a Secret.
pub(crate) fn created(name: &str, marked: &SecretMarks, envelope: &str) -> StorageResult<Bytes> {
    let metadata = Map::from_iter([
        ("name".to_owned(), name.into()),
        ("labels".to_owned(), text_map(&marked.labels)),
        ("annotations".to_owned(), text_map(&marked.annotations)),
    ]);
    object(&metadata, envelope)
}

/// The body that replaces a Secret. It sets all labels and data, and keeps everything else that
/// other users have added. It contains the resource version, so that it replaces the version that
/// was read and nothing newer.
pub(crate) fn replaced(seen: &SecretMetadata, marked: &SecretMarks, envelope: &str) -> StorageResult<Bytes> {
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
        .map_err(|_| StorageError::invalid_request("the Secret cannot be written as JSON"))?;
    Ok(Bytes::from(body))
}
