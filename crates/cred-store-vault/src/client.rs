//! Requests to Vault, with the endpoints of `vaultrs`.
//!
//! The responses are parsed here, because `vaultrs` drops the headers (`Retry-After`), hides the
//! body of some responses behind an unspecific error, and logs an ERROR event for each credential
//! that does not exist.

mod answer;
mod connection;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{ConfigError, ExposeSecret, SecretString, StorageError, StorageErrorKind};
use reqwest::header::HeaderValue;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use vaultrs::api::EndpointMiddleware;
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::kv2::requests::{
    DeleteLatestSecretVersionRequest, DeleteSecretMetadataRequest, DestroySecretVersionsRequest,
    ListSecretsRequest, ReadSecretMetadataRequest, ReadSecretRequest, SetSecretMetadataRequest,
    SetSecretRequest, SetSecretRequestOptions, UndeleteSecretVersionsRequest,
};
use vaultrs::api::token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest, RevokeTokenSelfRequest};
pub(crate) use vaultrs::client::VaultClient;

pub(crate) use self::answer::{ApiResponse, Secret, SecretState, Version};
pub(crate) use self::connection::{check_address, check_authorities};
use crate::error::{Action, CallFailure, FailureCause, kv1};
use crate::{VaultConfig, VaultVersions};

/// The field of a secret with the envelope as text: Vault reserializes JSON, and the bytes of the
/// envelope must not change.
const FIELD: &str = "envelope";

/// A client for one mount of one Vault server, without a token.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// Host and port, for errors.
    address: Option<Arc<str>>,
    mount: String,
    /// Adds the version of the API and the namespace. It does not add the token, because it would
    /// copy the token for each request.
    middleware: EndpointMiddleware,
}

/// A token. Its header is made once and shared by all requests.
pub(crate) struct Token {
    secret: SecretString,
    /// `None`: the empty token of a login request.
    header: Option<HeaderValue>,
}

/// The result of a login, a renewal or a lookup.
pub(crate) struct TokenGrant {
    /// `None`: the token did not change.
    pub(crate) token: Option<SecretString>,
    /// How long it is valid from now; zero: it never expires.
    pub(crate) lease: Duration,
    pub(crate) renewable: bool,
}

impl Client {
    pub(crate) fn new(config: &VaultConfig) -> Result<Self, ConfigError> {
        let http = connection::build(config)
            .map_err(|(field, problem)| ConfigError::invalid("vault", field, problem))?;
        Ok(Self::with_http(http, config.address.clone(), config.namespace.as_deref(), &config.mount_path))
    }

    /// Uses the connection, address and namespace of the caller's client.
    pub(crate) fn from_sdk(config: &VaultConfig, client: VaultClient) -> Self {
        let VaultClient { http, middle, .. } = client;
        Self::with_http(http.http, http.base, middle.namespace.as_deref(), &config.mount_path)
    }

    fn with_http(http: reqwest::Client, base: String, namespace: Option<&str>, mount: &str) -> Self {
        let middleware = EndpointMiddleware {
            token: String::new(),
            version: "v1".to_owned(),
            wrap: None,
            namespace: namespace.map(|namespace| namespace.trim_end_matches('/').to_owned()),
        };
        let address = connection::host_and_port(&base).map(Arc::from);
        Self { http, base, address, mount: mount.to_owned(), middleware }
    }

    /// Reads the latest version of a secret, or its state if it cannot be read.
    pub(crate) async fn read(&self, token: &Token, name: &str) -> Result<SecretState, CallFailure> {
        let action = self.action("read", "data", name);
        let endpoint = ReadSecretRequest { mount: self.mount.clone(), path: name.to_owned(), version: None };
        let response = self.call(token, &action, endpoint).await?;
        match response.status {
            200 => Ok(SecretState::Live(response.secret().ok_or_else(|| response.unreadable(&action))?)),
            404 => match response.missing_state() {
                Some(found) => Ok(found),
                None => Err(response.error_response().explain(&action, token.secret())),
            },
            _ => Err(response.error_response().explain(&action, token.secret())),
        }
    }

    /// Writes a version; with `cas`, only if that is the current version (0: no version exists).
    pub(crate) async fn write(
        &self,
        token: &Token,
        name: &str,
        envelope: &str,
        cas: Option<u64>,
    ) -> Result<Version, CallFailure> {
        let action = self.action("update", "data", name);
        let cas = cas.map(u32::try_from).transpose().map_err(|_| {
            StorageError::invalid_request(
                "it has more versions than the Vault client library supports; store it under another id",
            )
        })?;
        let data = serde_json::Value::Object([(FIELD.to_owned(), envelope.into())].into_iter().collect());
        let endpoint = SetSecretRequest {
            mount: self.mount.clone(),
            path: name.to_owned(),
            data,
            options: cas.map(|cas| SetSecretRequestOptions { cas }),
        };
        let response = self.call(token, &action, endpoint).await?;
        match response.status {
            200 => response.written().ok_or_else(|| response.unreadable(&action)),
            // Version 1 accepts any path and returns an empty response.
            204 => Err(kv1(&self.mount).into()),
            _ => Err(response.error_response().explain(&action, token.secret())),
        }
    }

    /// Reads the stored versions without their values. Empty if the secret does not exist.
    pub(crate) async fn versions(&self, token: &Token, name: &str) -> Result<VaultVersions, CallFailure> {
        let action = self.action("read", "metadata", name);
        let endpoint = ReadSecretMetadataRequest { mount: self.mount.clone(), path: name.to_owned() };
        let response = self.call(token, &action, endpoint).await?;
        match response.status {
            200 => response.versions().ok_or_else(|| response.unreadable(&action)),
            _ => response.default_if_absent(&action, token),
        }
    }

    /// Replaces the custom metadata of a secret. Idempotent.
    pub(crate) async fn set_custom_metadata(
        &self,
        token: &Token,
        name: &str,
        custom_metadata: HashMap<String, String>,
    ) -> Result<(), CallFailure> {
        let action = self.action("update", "metadata", name);
        let endpoint = SetSecretMetadataRequest {
            mount: self.mount.clone(),
            path: name.to_owned(),
            custom_metadata: Some(custom_metadata),
            ..SetSecretMetadataRequest::default()
        };
        self.call(token, &action, endpoint).await?.expect_done(&action, token)
    }

    /// Lists the names directly in a folder. Those of folders end with a slash.
    pub(crate) async fn list(&self, token: &Token, folder: &str) -> Result<Vec<String>, CallFailure> {
        let action = self.action("list", "metadata", folder);
        let endpoint = ListSecretsRequest { mount: self.mount.clone(), path: folder.to_owned() };
        let response = self.call(token, &action, endpoint).await?;
        match response.status {
            200 => response.keys().ok_or_else(|| response.unreadable(&action)),
            _ => response.default_if_absent(&action, token),
        }
    }

    /// Removes a secret with all its versions. Idempotent.
    pub(crate) async fn delete_all_versions(&self, token: &Token, name: &str) -> Result<(), CallFailure> {
        let action = self.action("delete", "metadata", name);
        let endpoint = DeleteSecretMetadataRequest { mount: self.mount.clone(), path: name.to_owned() };
        self.call(token, &action, endpoint).await?.expect_done(&action, token)
    }

    /// Marks the latest version as deleted. Idempotent.
    pub(crate) async fn delete_latest(&self, token: &Token, name: &str) -> Result<(), CallFailure> {
        let action = self.action("delete", "data", name);
        let endpoint = DeleteLatestSecretVersionRequest { mount: self.mount.clone(), path: name.to_owned() };
        self.call(token, &action, endpoint).await?.expect_done(&action, token)
    }

    /// Removes the deletion mark from a version.
    pub(crate) async fn undelete(&self, token: &Token, name: &str, version: u64) -> Result<(), CallFailure> {
        let action = self.action("update", "undelete", name);
        let (mount, path) = (self.mount.clone(), name.to_owned());
        let endpoint = UndeleteSecretVersionsRequest { mount, path, versions: vec![version] };
        self.call(token, &action, endpoint).await?.expect_done(&action, token)
    }

    /// Removes the values of these versions, and of no other. Idempotent.
    pub(crate) async fn destroy(
        &self,
        token: &Token,
        name: &str,
        versions: Vec<u64>,
    ) -> Result<(), CallFailure> {
        let action = self.action("update", "destroy", name);
        let (mount, path) = (self.mount.clone(), name.to_owned());
        let endpoint = DestroySecretVersionsRequest { mount, path, versions };
        self.call(token, &action, endpoint).await?.expect_done(&action, token)
    }

    /// Refuses a mount that is known not to be KV version 2. It stays unknown if the token may not
    /// read the mount.
    pub(crate) async fn check_mount(&self, token: &Token) -> Result<(), CallFailure> {
        let action =
            Action { capability: "read", mount: "sys/internal/ui/mounts", section: "", name: &self.mount };
        let response = self.call(token, &action, MountRequest { mount: &self.mount }).await?;
        match response.status {
            200 => match response.engine() {
                Some(engine) if engine.is("kv", "1") || engine.is("generic", "1") => {
                    Err(kv1(&self.mount).into())
                }
                Some(engine) if !engine.is("kv", "2") => Err(StorageError::invalid_request(format!(
                    "`{}` is not a KV version 2 engine; set `mount_path` to the mount of one",
                    self.mount
                ))
                .into()),
                _ => Ok(()),
            },
            _ => {
                let failure = response.error_response().explain(&action, token.secret());
                match failure.error.is_transient() || failure.cause == FailureCause::TokenInvalid {
                    true => Err(failure),
                    false => Ok(()),
                }
            }
        }
    }

    pub(crate) async fn login(
        &self,
        mount: &str,
        role_id: &str,
        secret_id: &SecretString,
    ) -> Result<TokenGrant, CallFailure> {
        let action =
            Action { capability: "update", mount: "auth", section: "", name: &format!("{mount}/login") };
        let endpoint = LoginWithApproleRequest {
            mount: mount.to_owned(),
            role_id: role_id.to_owned(),
            secret_id: secret_id.expose_secret().to_owned(),
        };
        let response = self.call(&Token::new(&"".into()), &action, endpoint).await?;
        if response.status == 200 {
            return response
                .grant()
                .filter(|grant| grant.token.is_some())
                .ok_or_else(|| response.unreadable(&action));
        }
        let error_response = response.error_response();
        let failure = error_response.explain(&action, secret_id.expose_secret());
        // Vault counts no failed login if the response is not from Vault.
        let is_from_vault = error_response.reasons.is_ok() && (400..500).contains(&error_response.status);
        if failure.error.is_transient() || !is_from_vault {
            return Err(failure);
        }
        let message = error_response.server_message(secret_id.expose_secret());
        let reason = format!(
            "the AppRole login at `{action}` was refused ({message}); a secret id that is used up or expired cannot log in \
             again, so issue a new one if that is the reason"
        );
        let error = StorageErrorKind::AuthenticationFailed { reason: reason.into() };
        Err(CallFailure::new(FailureCause::LoginRefused, error))
    }

    /// Reads the remaining lease of a token.
    pub(crate) async fn lookup(&self, token: &Token) -> Result<TokenGrant, CallFailure> {
        let action = Action { capability: "read", mount: "auth/token/lookup-self", section: "", name: "" };
        let response = self.call(token, &action, LookupTokenSelfRequest {}).await?;
        match response.status {
            200 => response.remaining_lease().ok_or_else(|| response.unreadable(&action)),
            _ => Err(response.error_response().explain(&action, token.secret())),
        }
    }

    pub(crate) async fn renew(&self, token: &Token) -> Result<TokenGrant, CallFailure> {
        let action = Action { capability: "update", mount: "auth/token/renew-self", section: "", name: "" };
        let response = self.call(token, &action, RenewTokenSelfRequest { increment: None }).await?;
        match response.status {
            200 => {
                let mut grant = response.grant().ok_or_else(|| response.unreadable(&action))?;
                grant.token = None;
                Ok(grant)
            }
            _ => Err(response.error_response().explain(&action, token.secret())),
        }
    }

    /// Revokes a token. Idempotent.
    pub(crate) async fn revoke(&self, token: &Token) -> Result<(), CallFailure> {
        let action = Action { capability: "update", mount: "auth/token/revoke-self", section: "", name: "" };
        match self.call(token, &action, RevokeTokenSelfRequest {}).await?.expect_done(&action, token) {
            Err(failure) if failure.cause == FailureCause::TokenInvalid => Ok(()),
            response => response,
        }
    }

    fn action<'a>(&'a self, capability: &'static str, section: &'static str, name: &'a str) -> Action<'a> {
        Action { capability, mount: &self.mount, section, name }
    }

    async fn call(
        &self,
        token: &Token,
        action: &Action<'_>,
        endpoint: impl Endpoint,
    ) -> Result<ApiResponse, CallFailure> {
        let request = endpoint.with_middleware(&self.middleware).request(&self.base);
        let invalid_request =
            |_| StorageError::other(format!("could not build a valid request for `{action}`"));
        let mut request = request.map_err(|_| invalid_request(()))?;
        if let Some(header) = &token.header {
            request.headers_mut().insert("X-Vault-Token", header.clone());
        }
        let request = reqwest::Request::try_from(request).map_err(|_| invalid_request(()))?;
        ApiResponse::of(&self.http, request, self.address.clone()).await
    }
}

impl Token {
    /// Creates a token. All tokens consist of visible characters; any other token is not sent.
    pub(crate) fn new(secret: &SecretString) -> Self {
        let header = HeaderValue::from_str(secret.expose_secret()).ok().filter(|header| !header.is_empty());
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        Self { secret: secret.clone(), header }
    }

    /// The text of the token, which no error may repeat.
    fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// Reads the kind of engine at a mount. `vaultrs` does not have this endpoint. Every token may use
/// it that has any permission in the mount.
struct MountRequest<'a> {
    mount: &'a str,
}

impl Endpoint for MountRequest<'_> {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        format!("sys/internal/ui/mounts/{}", self.mount)
    }

    fn method(&self) -> RequestMethod {
        RequestMethod::GET
    }
}
