//! Calls to Vault: its endpoints as `vaultrs` spells them, its answers as they are.
//!
//! The answers are read here and not by `vaultrs`, because that drops the headers (`Retry-After`),
//! hides the body of some answers in an error that says nothing, and writes an event at ERROR for
//! each credential that is not there.

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

pub(crate) use self::answer::{Answer, Found, Secret, Version};
pub(crate) use self::connection::{check_address, check_authorities};
use crate::error::{Failure, Meaning, Place, kv1};
use crate::{VaultConfig, VaultVersions};

/// The field of a secret that holds the envelope, as text: Vault writes JSON anew, and the
/// envelope's bytes are canonical.
const FIELD: &str = "envelope";

/// One Vault, one mount, no token.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// Host and port, for errors.
    address: Option<Arc<str>>,
    mount: String,
    /// The version of the API and the namespace. Tokens are not left to it, which would copy them
    /// for each request.
    middle: EndpointMiddleware,
}

/// A token. Its header is made once and shared by all requests.
pub(crate) struct Token {
    secret: SecretString,
    /// `None`: a login, which has none.
    header: Option<HeaderValue>,
}

/// What a login or a renewal gave.
pub(crate) struct Grant {
    /// `None`: the one that was renewed.
    pub(crate) token: Option<SecretString>,
    /// How long it is valid from now; zero: for ever.
    pub(crate) lease: Duration,
    pub(crate) renewable: bool,
}

impl Client {
    pub(crate) fn new(config: &VaultConfig) -> Result<Self, ConfigError> {
        let http = connection::build(config)
            .map_err(|(field, problem)| ConfigError::invalid("vault", field, problem))?;
        Ok(Self::over(http, config.address.clone(), config.namespace.as_deref(), &config.mount_path))
    }

    /// The connection, address and namespace of the caller's own client.
    pub(crate) fn of_sdk(config: &VaultConfig, client: VaultClient) -> Self {
        let VaultClient { http, middle, .. } = client;
        Self::over(http.http, http.base, middle.namespace.as_deref(), &config.mount_path)
    }

    fn over(http: reqwest::Client, base: String, namespace: Option<&str>, mount: &str) -> Self {
        let middle = EndpointMiddleware {
            token: String::new(),
            version: "v1".to_owned(),
            wrap: None,
            namespace: namespace.map(|namespace| namespace.trim_end_matches('/').to_owned()),
        };
        let address = connection::host_and_port(&base).map(Arc::from);
        Self { http, base, address, mount: mount.to_owned(), middle }
    }

    /// Reads the latest version of a secret, or what became of it.
    pub(crate) async fn read(&self, token: &Token, name: &str) -> Result<Found, Failure> {
        let place = self.place("read", "data", name);
        let endpoint = ReadSecretRequest { mount: self.mount.clone(), path: name.to_owned(), version: None };
        let answer = self.call(token, &place, endpoint).await?;
        match answer.status {
            200 => Ok(Found::Live(answer.secret().ok_or_else(|| answer.unreadable(&place))?)),
            404 => match answer.gone() {
                Some(found) => Ok(found),
                None => Err(answer.refusal().explain(&place, token.hidden())),
            },
            _ => Err(answer.refusal().explain(&place, token.hidden())),
        }
    }

    /// Writes a version; with `cas`, only after that one (0: none).
    pub(crate) async fn write(
        &self,
        token: &Token,
        name: &str,
        envelope: &str,
        cas: Option<u64>,
    ) -> Result<Version, Failure> {
        let place = self.place("update", "data", name);
        let cas = cas.map(u32::try_from).transpose().map_err(|_| {
            StorageError::invalid_request(
                "it has more versions than the SDK can name; store it under another id",
            )
        })?;
        let data = serde_json::Value::Object([(FIELD.to_owned(), envelope.into())].into_iter().collect());
        let endpoint = SetSecretRequest {
            mount: self.mount.clone(),
            path: name.to_owned(),
            data,
            options: cas.map(|cas| SetSecretRequestOptions { cas }),
        };
        let answer = self.call(token, &place, endpoint).await?;
        match answer.status {
            200 => answer.written().ok_or_else(|| answer.unreadable(&place)),
            // Version 1 takes any path and answers nothing.
            204 => Err(kv1(&self.mount).into()),
            _ => Err(answer.refusal().explain(&place, token.hidden())),
        }
    }

    /// The versions that are kept, without their values. None where there is no such secret.
    pub(crate) async fn versions(&self, token: &Token, name: &str) -> Result<VaultVersions, Failure> {
        let place = self.place("read", "metadata", name);
        let endpoint = ReadSecretMetadataRequest { mount: self.mount.clone(), path: name.to_owned() };
        let answer = self.call(token, &place, endpoint).await?;
        match answer.status {
            200 => answer.versions().ok_or_else(|| answer.unreadable(&place)),
            _ => answer.unless_absent(&place, token),
        }
    }

    /// Replaces the custom metadata of a secret. Idempotent.
    pub(crate) async fn set_custom_metadata(
        &self,
        token: &Token,
        name: &str,
        custom_metadata: HashMap<String, String>,
    ) -> Result<(), Failure> {
        let place = self.place("update", "metadata", name);
        let endpoint = SetSecretMetadataRequest {
            mount: self.mount.clone(),
            path: name.to_owned(),
            custom_metadata: Some(custom_metadata),
            ..SetSecretMetadataRequest::default()
        };
        self.call(token, &place, endpoint).await?.done(&place, token)
    }

    /// What is directly in a folder: names, and folders with a slash at their end.
    pub(crate) async fn list(&self, token: &Token, folder: &str) -> Result<Vec<String>, Failure> {
        let place = self.place("list", "metadata", folder);
        let endpoint = ListSecretsRequest { mount: self.mount.clone(), path: folder.to_owned() };
        let answer = self.call(token, &place, endpoint).await?;
        match answer.status {
            200 => answer.keys().ok_or_else(|| answer.unreadable(&place)),
            _ => answer.unless_absent(&place, token),
        }
    }

    /// Removes a secret with all its versions. Idempotent.
    pub(crate) async fn delete_for_good(&self, token: &Token, name: &str) -> Result<(), Failure> {
        let place = self.place("delete", "metadata", name);
        let endpoint = DeleteSecretMetadataRequest { mount: self.mount.clone(), path: name.to_owned() };
        self.call(token, &place, endpoint).await?.done(&place, token)
    }

    /// Marks the latest version as deleted. Idempotent.
    pub(crate) async fn delete_latest(&self, token: &Token, name: &str) -> Result<(), Failure> {
        let place = self.place("delete", "data", name);
        let endpoint = DeleteLatestSecretVersionRequest { mount: self.mount.clone(), path: name.to_owned() };
        self.call(token, &place, endpoint).await?.done(&place, token)
    }

    /// Takes the mark from a version.
    pub(crate) async fn undelete(&self, token: &Token, name: &str, version: u64) -> Result<(), Failure> {
        let place = self.place("update", "undelete", name);
        let (mount, path) = (self.mount.clone(), name.to_owned());
        let endpoint = UndeleteSecretVersionsRequest { mount, path, versions: vec![version] };
        self.call(token, &place, endpoint).await?.done(&place, token)
    }

    /// Removes the values of these versions, and of no other. Idempotent.
    pub(crate) async fn destroy(&self, token: &Token, name: &str, versions: Vec<u64>) -> Result<(), Failure> {
        let place = self.place("update", "destroy", name);
        let (mount, path) = (self.mount.clone(), name.to_owned());
        let endpoint = DestroySecretVersionsRequest { mount, path, versions };
        self.call(token, &place, endpoint).await?.done(&place, token)
    }

    /// Refuses a mount that is known not to be KV version 2. A token that may not ask leaves it
    /// unknown.
    pub(crate) async fn check_mount(&self, token: &Token) -> Result<(), Failure> {
        let place = Place { right: "read", mount: "sys/internal/ui/mounts", section: "", name: &self.mount };
        let answer = self.call(token, &place, MountRequest { mount: &self.mount }).await?;
        match answer.status {
            200 => match answer.engine() {
                Some(engine) if engine.is("kv", "1") || engine.is("generic", "1") => {
                    Err(kv1(&self.mount).into())
                }
                Some(engine) if !engine.is("kv", "2") => Err(StorageError::invalid_request(format!(
                    "`{}` is no KV version 2 engine; give the mount of one as `mount_path`",
                    self.mount
                ))
                .into()),
                _ => Ok(()),
            },
            _ => {
                let failure = answer.refusal().explain(&place, token.hidden());
                match failure.error.is_transient() || failure.meaning == Meaning::TokenInvalid {
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
    ) -> Result<Grant, Failure> {
        let place = Place { right: "update", mount: "auth", section: "", name: &format!("{mount}/login") };
        let endpoint = LoginWithApproleRequest {
            mount: mount.to_owned(),
            role_id: role_id.to_owned(),
            secret_id: secret_id.expose_secret().to_owned(),
        };
        let answer = self.call(&Token::new(&"".into()), &place, endpoint).await?;
        if answer.status == 200 {
            return answer
                .grant()
                .filter(|grant| grant.token.is_some())
                .ok_or_else(|| answer.unreadable(&place));
        }
        let refusal = answer.refusal();
        let failure = refusal.explain(&place, secret_id.expose_secret());
        // What is no answer of Vault's counts no failed login there.
        let is_vaults = refusal.reasons.is_ok() && (400..500).contains(&refusal.status);
        if failure.error.is_transient() || !is_vaults {
            return Err(failure);
        }
        let said = refusal.said(secret_id.expose_secret());
        let reason = format!(
            "the AppRole login at `{place}` was refused ({said}); a secret id that is used up or expired cannot log \
             in again"
        );
        let error = StorageErrorKind::AuthenticationFailed { reason: reason.into() };
        Err(Failure::new(Meaning::LoginRefused, error))
    }

    /// What is left of a token's life.
    pub(crate) async fn lookup(&self, token: &Token) -> Result<Grant, Failure> {
        let place = Place { right: "read", mount: "auth/token/lookup-self", section: "", name: "" };
        let answer = self.call(token, &place, LookupTokenSelfRequest {}).await?;
        match answer.status {
            200 => answer.life().ok_or_else(|| answer.unreadable(&place)),
            _ => Err(answer.refusal().explain(&place, token.hidden())),
        }
    }

    pub(crate) async fn renew(&self, token: &Token) -> Result<Grant, Failure> {
        let place = Place { right: "update", mount: "auth/token/renew-self", section: "", name: "" };
        let answer = self.call(token, &place, RenewTokenSelfRequest { increment: None }).await?;
        match answer.status {
            200 => {
                let mut grant = answer.grant().ok_or_else(|| answer.unreadable(&place))?;
                grant.token = None;
                Ok(grant)
            }
            _ => Err(answer.refusal().explain(&place, token.hidden())),
        }
    }

    /// Ends a token. Idempotent.
    pub(crate) async fn revoke(&self, token: &Token) -> Result<(), Failure> {
        let place = Place { right: "update", mount: "auth/token/revoke-self", section: "", name: "" };
        match self.call(token, &place, RevokeTokenSelfRequest {}).await?.done(&place, token) {
            Err(failure) if failure.meaning == Meaning::TokenInvalid => Ok(()),
            answer => answer,
        }
    }

    fn place<'a>(&'a self, right: &'static str, section: &'static str, name: &'a str) -> Place<'a> {
        Place { right, mount: &self.mount, section, name }
    }

    async fn call(
        &self,
        token: &Token,
        place: &Place<'_>,
        endpoint: impl Endpoint,
    ) -> Result<Answer, Failure> {
        let request = endpoint.with_middleware(&self.middle).request(&self.base);
        let unspeakable = |_| StorageError::other(format!("no request could be made for `{place}`"));
        let mut request = request.map_err(|_| unspeakable(()))?;
        if let Some(header) = &token.header {
            request.headers_mut().insert("X-Vault-Token", header.clone());
        }
        let request = reqwest::Request::try_from(request).map_err(|_| unspeakable(()))?;
        Answer::of(&self.http, request, self.address.clone()).await
    }
}

impl Token {
    /// A token of visible characters, as all are; another one would go into no request.
    pub(crate) fn new(secret: &SecretString) -> Self {
        let header = HeaderValue::from_str(secret.expose_secret()).ok().filter(|header| !header.is_empty());
        let header = header.map(|mut header| {
            header.set_sensitive(true);
            header
        });
        Self { secret: secret.clone(), header }
    }

    /// What no error may repeat.
    fn hidden(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// What kind of engine a mount is: an endpoint that `vaultrs` does not have, and every token may
/// ask that may do anything in the mount.
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
