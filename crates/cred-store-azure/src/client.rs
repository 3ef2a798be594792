//! Requests to Key Vault, and the identity that makes them.

mod connection;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret as SdkSecret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{CONTENT_TYPE as CONTENT_TYPE_HEADER, RETRY_AFTER};
use azure_core::http::pager::{Page as Paged, Pager, PagerContinuation, PagerOptions};
use azure_core::http::{
    ClientMethodOptions, ClientOptions, Context, RequestContent, Response, RetryOptions, Transport, Url,
};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};
pub(crate) use azure_security_keyvault_secrets::SecretClient;
use azure_security_keyvault_secrets::SecretClientOptions;
use azure_security_keyvault_secrets::models::{
    SecretAttributes, SecretClientDeleteSecretOptions, SecretClientGetDeletedSecretOptions,
    SecretClientGetSecretOptions, SecretClientListDeletedSecretPropertiesOptions,
    SecretClientListSecretPropertiesOptions, SecretClientPurgeDeletedSecretOptions,
    SecretClientRecoverDeletedSecretOptions, SecretClientSetSecretOptions, SetSecretParameters,
};
use cred_core::{ConfigError, ExposeSecret, ProviderConfig as _, StorageError, StorageResult};
use cred_provider_kit::ForeignResponse;
use futures_util::StreamExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

pub(crate) use self::connection::{Vault, check_authorities, check_origin, check_vault};
use self::transport::{TokenTransport, VaultTransport};
use crate::auth::{CallStart, TokenCache};
use crate::error::{Call, Refusal, sdk_failure};
use crate::{AzureCredentialType, AzureKeyVaultConfig};

/// The content type of the secrets, which the portal shows.
const CONTENT_TYPE: &str = "application/vnd.cred+json";

/// Maximum number of secrets in a page.
const PAGE_SIZE: i32 = 25;

/// The client of one vault.
pub(crate) struct Client {
    sdk: Arc<SecretClient>,
    /// Host and port of the vault, for errors.
    address: String,
}

/// The contents of a secret to write.
pub(crate) struct Draft {
    pub(crate) value: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Expiry in seconds since 1970.
    pub(crate) expires: Option<i64>,
}

/// The list to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretList {
    Live,
    Deleted,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<ListedSecret>,
    /// The address of the next page; `None`: this is the last one.
    pub(crate) next: Option<PageUrl>,
}

/// The address of a page, at this vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageUrl(Url);

/// The latest version of a secret.
pub(crate) struct LatestVersion {
    pub(crate) value: String,
    /// The address of this version.
    pub(crate) id: Option<String>,
}

/// How long Azure keeps a deleted secret. It depends on the vault.
pub(crate) struct Retention {
    /// Whether an identity can purge it earlier; false: purge protection is on.
    pub(crate) is_purgeable: bool,
    /// When Azure purges it; `None`: not in the response.
    pub(crate) ends: Option<OffsetDateTime>,
}

/// A secret in a list, without its value.
#[derive(Debug)]
pub(crate) struct ListedSecret {
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Client {
    pub(crate) fn new(config: &AzureKeyVaultConfig) -> Result<Self, ConfigError> {
        let invalid = |field, problem| ConfigError::invalid("azure", field, problem);
        let vault = check_vault(&config.vault_url, config.allowed_host.as_deref())
            .map_err(|problem| invalid("vault_url", problem))?;
        let identity = Identity::new(config, &vault)?;
        let http = connection::vault_client(config).map_err(|problem| invalid("ca_cert", problem))?;
        let tokens = Arc::new(TokenCache::new(identity, vault.clone()));
        let transport = VaultTransport { http, vault: vault.url.clone(), tokens: Arc::clone(&tokens) };
        let options = SecretClientOptions {
            client_options: pipeline(Transport::new(Arc::new(transport))),
            // For a host outside Azure, `TokenCache` checks the resource.
            verify_challenge_resource: Some(vault.is_azure_host()),
            ..SecretClientOptions::default()
        };
        let sdk = SecretClient::new(vault.url.as_str(), tokens, Some(options))
            .map_err(|_| invalid("vault_url", "is not an address that the SDK accepts"))?;
        Ok(Self::from_sdk(sdk))
    }

    /// Creates a client from one of the SDK.
    pub(crate) fn from_sdk(sdk: SecretClient) -> Self {
        let address = host_and_port(sdk.endpoint());
        Self { sdk: Arc::new(sdk), address }
    }

    /// Writes a new version.
    pub(crate) async fn set(&self, name: &str, draft: &Draft) -> StorageResult<()> {
        let call = Call { right: "set", name };
        let parameters = SetSecretParameters {
            content_type: Some(CONTENT_TYPE.to_owned()),
            secret_attributes: draft.attributes(),
            tags: Some(draft.tags.clone().into_iter().collect()),
            value: Some(draft.value.clone()),
        };
        let content: RequestContent<SetSecretParameters> = parameters
            .try_into()
            .map_err(|_| StorageError::other("the secret cannot be serialized as JSON"))?;
        let options = SecretClientSetSecretOptions { method_options: call_options() };
        let response = self.sdk.set_secret(name, content, Some(options)).await;
        self.parse(response.map_err(|error| self.map_error(&error, &call))?, "id").map(drop)
    }

    /// Reads the latest version.
    pub(crate) async fn get(&self, name: &str) -> StorageResult<LatestVersion> {
        let call = Call { right: "get", name };
        let options = SecretClientGetSecretOptions { method_options: call_options(), ..Default::default() };
        let response =
            self.sdk.get_secret(name, Some(options)).await.map_err(|error| self.map_error(&error, &call))?;
        let secret = self.parse(response, "id")?;
        let value = secret.value.ok_or_else(|| self.invalid_response())?;
        Ok(LatestVersion { value, id: secret.id })
    }

    /// Starts a deletion.
    pub(crate) async fn delete(&self, name: &str) -> StorageResult<()> {
        let call = Call { right: "delete", name };
        let options = SecretClientDeleteSecretOptions { method_options: call_options() };
        let response = self.sdk.delete_secret(name, Some(options)).await;
        self.parse(response.map_err(|error| self.map_error(&error, &call))?, "id").map(drop)
    }

    /// Starts a recovery. Returns the address of the recovered version; `None`: not in the
    /// response.
    pub(crate) async fn recover(&self, name: &str) -> StorageResult<Option<String>> {
        let call = Call { right: "recover", name };
        let options = SecretClientRecoverDeletedSecretOptions { method_options: call_options() };
        let response = self
            .sdk
            .recover_deleted_secret(name, Some(options))
            .await
            .map_err(|error| self.map_error(&error, &call))?;
        Ok(self.parse(response, "id")?.id)
    }

    /// Starts a purge.
    pub(crate) async fn purge(&self, name: &str) -> StorageResult<()> {
        let call = Call { right: "purge", name };
        let options = SecretClientPurgeDeletedSecretOptions { method_options: call_options() };
        let response = self.sdk.purge_deleted_secret(name, Some(options)).await;
        let response = response.map_err(|error| self.map_error(&error, &call))?;
        match u16::from(response.status()) {
            // The response has no body.
            204 => Ok(()),
            _ => {
                let content_type = response.headers().get_optional_str(&CONTENT_TYPE_HEADER);
                Err(self.foreign(content_type, Some(response.body().as_ref())).error(VAULT_URL))
            }
        }
    }

    /// Reads how long Azure keeps a deleted secret.
    pub(crate) async fn retention(&self, name: &str) -> StorageResult<Retention> {
        let call = Call { right: "get", name };
        let options = SecretClientGetDeletedSecretOptions { method_options: call_options() };
        let response = self
            .sdk
            .get_deleted_secret(name, Some(options))
            .await
            .map_err(|error| self.map_error(&error, &call))?;
        let secret = self.parse(response, "id")?;
        let level = secret.attributes.and_then(|attributes| attributes.recovery_level);
        Ok(Retention {
            is_purgeable: level.is_none_or(|level| level.as_ref().contains("Purgeable")),
            ends: secret.scheduled_purge_date,
        })
    }

    /// Reads a page of a list; `None`: the first one.
    pub(crate) async fn page(&self, list: SecretList, page_url: Option<&PageUrl>) -> StorageResult<Page> {
        let call = Call { right: "list", name: "" };
        let context = call_options().context.into_owned();
        let continuation = page_url.map(|PageUrl(url)| PagerContinuation::Link(url.clone()));
        let method_options = PagerOptions { context, continuation };
        let (items, next): (Option<Vec<ListedSecret>>, _) = match list {
            SecretList::Live => {
                let options =
                    SecretClientListSecretPropertiesOptions { maxresults: Some(PAGE_SIZE), method_options };
                let (page, next) =
                    self.fetch_page(self.sdk.list_secret_properties(Some(options)), &call).await?;
                (page.value.into_iter().map(|item| ListedSecret::new(item.id, item.tags)).collect(), next)
            }
            SecretList::Deleted => {
                let options = SecretClientListDeletedSecretPropertiesOptions {
                    maxresults: Some(PAGE_SIZE),
                    method_options,
                };
                let (page, next) =
                    self.fetch_page(self.sdk.list_deleted_secret_properties(Some(options)), &call).await?;
                (page.value.into_iter().map(|item| ListedSecret::new(item.id, item.tags)).collect(), next)
            }
        };
        Ok(Page {
            items: items.ok_or_else(|| self.invalid_response())?,
            next: self.next_page(page_url, next)?,
        })
    }

    /// Checks the address of the next page. Refuses another host, to which the SDK would send the
    /// token.
    fn next_page(
        &self,
        current: Option<&PageUrl>,
        next: Option<PagerContinuation>,
    ) -> StorageResult<Option<PageUrl>> {
        let url = match next {
            None => return Ok(None),
            Some(PagerContinuation::Link(url)) => url,
            Some(_) => return Err(self.invalid_response()),
        };
        if url.origin() != self.sdk.endpoint().origin() {
            return Err(StorageError::other(format!(
                "the response of `{}` to a list refers to another host for the next page, which is not \
                 followed; check {VAULT_URL}",
                self.address
            )));
        }
        let next = PageUrl(url);
        // The list would never end.
        match current == Some(&next) {
            true => Err(StorageError::other("a page of the list refers to itself as the next page")),
            false => Ok(Some(next)),
        }
    }

    /// Fetches one page from a pager of the SDK. Also returns the address of the next one.
    async fn fetch_page<P: Paged + DeserializeOwned + Send>(
        &self,
        pager: azure_core::Result<Pager<P>>,
        call: &Call<'_>,
    ) -> StorageResult<(P, Option<PagerContinuation>)> {
        let mut pages = pager.map_err(|error| self.map_error(&error, call))?.into_pages();
        let page = pages.next().await.ok_or_else(|| self.invalid_response())?;
        let page = self.parse(page.map_err(|error| self.map_error(&error, call))?, "value")?;
        Ok((page, pages.into_continuation()))
    }

    /// Parses a response. A response without this member is not from Key Vault.
    fn parse<T: DeserializeOwned>(&self, response: Response<T>, member: &str) -> StorageResult<T> {
        let content_type = response.headers().get_optional_str(&CONTENT_TYPE_HEADER);
        let body = response.body().as_ref();
        let has_member = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body)
            .is_ok_and(|members| members.contains_key(member));
        match serde_json::from_slice(body) {
            Ok(model) if has_member => Ok(model),
            _ => Err(self.foreign(content_type, Some(body)).error(VAULT_URL)),
        }
    }

    /// Returns the error for a response whose body is not available here.
    fn invalid_response(&self) -> StorageError {
        self.foreign(None, None).error(VAULT_URL)
    }

    fn foreign<'a>(&'a self, content_type: Option<&'a str>, body: Option<&'a [u8]>) -> ForeignResponse<'a> {
        ForeignResponse { service: "Key Vault", address: Some(&self.address), content_type, body }
    }

    /// Maps the error of a request. Parses refusals from the body, because the parser of the SDK
    /// fails at every escape.
    fn map_error(&self, error: &azure_core::Error, call: &Call<'_>) -> StorageError {
        match error.kind() {
            ErrorKind::HttpResponse { raw_response: Some(response), .. } => {
                let retry_after = response.headers().get_optional_str(&RETRY_AFTER);
                let retry_after =
                    retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                let content_type = response.headers().get_optional_str(&CONTENT_TYPE_HEADER);
                let foreign = self.foreign(content_type, Some(response.body().as_ref()));
                Refusal::parse(u16::from(response.status()), retry_after, &foreign).to_storage_error(call)
            }
            ErrorKind::HttpResponse { status, .. } => {
                Refusal::parse(u16::from(*status), None, &self.foreign(None, None)).to_storage_error(call)
            }
            // The message of the parser may repeat the body.
            ErrorKind::DataConversion
                if cred_provider_kit::connection::cause::<serde_json::Error>(error).is_some() =>
            {
                self.invalid_response()
            }
            _ => sdk_failure(error),
        }
    }
}

/// The setting with the address of the vault, for errors.
const VAULT_URL: &str = "`vault_url`";

/// Returns host and port of an address, for errors.
fn host_and_port(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

impl Draft {
    fn attributes(&self) -> Option<SecretAttributes> {
        let expires = OffsetDateTime::from_unix_timestamp(self.expires?).ok()?;
        Some(SecretAttributes { expires: Some(expires), ..SecretAttributes::default() })
    }
}

impl ListedSecret {
    /// Parses an id: `https://vault/secrets/NAME`, optionally followed by a version.
    pub(crate) fn new(
        id: Option<String>,
        tags: Option<impl IntoIterator<Item = (String, String)>>,
    ) -> Option<Self> {
        let url = Url::parse(&id?).ok()?;
        let mut segments = url.path_segments()?;
        match segments.next()? {
            "secrets" | "deletedsecrets" => {}
            _ => return None,
        }
        let name = segments.next().filter(|name| !name.is_empty())?.to_owned();
        Some(Self { name, tags: tags.into_iter().flatten().collect() })
    }
}

/// Creates credentials of the SDK. Contains no token.
pub(crate) struct Identity {
    method: AzureCredentialType,
    authority: String,
    /// `None`: a program supplies the tokens.
    transport: Option<Transport>,
}

impl Identity {
    fn new(config: &AzureKeyVaultConfig, vault: &Vault) -> Result<Self, ConfigError> {
        let invalid = |field, problem| ConfigError::invalid(config.provider_name(), field, problem);
        let authority = config.authority_host.clone().unwrap_or_else(|| vault.authority().to_owned());
        let client_secret = match &config.credential_type {
            AzureCredentialType::ServicePrincipal { client_secret, .. } => Some(client_secret.clone()),
            AzureCredentialType::ManagedIdentity { .. } | AzureCredentialType::DeveloperTools => None,
        };
        let transport = match &config.credential_type {
            AzureCredentialType::DeveloperTools => None,
            _ => {
                let http = connection::token_client(config).map_err(|problem| invalid("ca_cert", problem))?;
                Some(Transport::new(Arc::new(TokenTransport { http, client_secret })))
            }
        };
        let identity = Self { method: config.credential_type.clone(), authority, transport };
        // Fails now if the SDK does not support the managed identity of this environment.
        identity.credential().map_err(|_| {
            invalid(
                "credential_type",
                "is not supported by the SDK in this environment; use a service principal instead",
            )
        })?;
        Ok(identity)
    }

    /// Creates a credential without a cached token.
    pub(crate) fn credential(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let options = || match &self.transport {
            Some(transport) => pipeline(transport.clone()),
            None => ClientOptions::default(),
        };
        Ok(match &self.method {
            AzureCredentialType::ServicePrincipal { tenant_id, client_id, client_secret } => {
                // Without an explicit authority, the SDK would use the environment.
                let mut authority = CustomConfiguration::default();
                authority.authority_host = self.authority.clone();
                let client_options = ClientOptions {
                    cloud: Some(Arc::new(CloudConfiguration::Custom(authority))),
                    ..options()
                };
                let secret = SdkSecret::new(client_secret.expose_secret().to_owned());
                let options = ClientSecretCredentialOptions { client_options };
                ClientSecretCredential::new(tenant_id, client_id.clone(), secret, Some(options))?
            }
            AzureCredentialType::ManagedIdentity { client_id } => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options: options(),
                };
                ManagedIdentityCredential::new(Some(options))?
            }
            AzureCredentialType::DeveloperTools => DeveloperToolsCredential::new(None)?,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.method.fmt(f)
    }
}

/// Returns options for the SDK without retries.
fn pipeline(transport: Transport) -> ClientOptions {
    ClientOptions { retry: RetryOptions::none(), transport: Some(transport), ..ClientOptions::default() }
}

/// Returns options that pass the start of the call to the token cache.
fn call_options() -> ClientMethodOptions<'static> {
    let mut context = Context::new();
    context.insert(CallStart(Instant::now()));
    ClientMethodOptions { context }
}
