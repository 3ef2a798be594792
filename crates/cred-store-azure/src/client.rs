//! Calls to Key Vault, and who makes them.

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
use cred_provider_kit::Foreign;
use futures_util::StreamExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

pub(crate) use self::connection::{Vault, check_authorities, check_origin, check_vault};
use self::transport::{ToTokens, ToVault};
use crate::auth::{Begun, Tokens};
use crate::error::{Call, Refusal, failed};
use crate::{AzureCredentialType, AzureKeyVaultConfig};

/// What says in the portal whose secret it is.
const CONTENT_TYPE: &str = "application/vnd.cred+json";

/// The most secrets that a page has.
const PAGE: i32 = 25;

/// One vault.
pub(crate) struct Client {
    sdk: Arc<SecretClient>,
    /// Host and port of the vault, for errors.
    address: String,
}

/// A secret to be written.
pub(crate) struct Draft {
    pub(crate) value: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(crate) expires: Option<i64>,
}

/// Which of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Live,
    Deleted,
}

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// Where to go on; `None`: it was the last one.
    pub(crate) next: Option<Next>,
}

/// A place in a list, at this vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Next(Url);

/// The latest version of a secret.
pub(crate) struct Latest {
    pub(crate) value: String,
    /// Its address, which no other version has.
    pub(crate) id: Option<String>,
}

/// How long Azure keeps a deleted secret, which is a property of the vault.
pub(crate) struct Retention {
    /// Whether an identity can purge it earlier; false: purge protection is on.
    pub(crate) is_purgeable: bool,
    /// When Azure purges it; `None`: the answer does not contain it.
    pub(crate) ends: Option<OffsetDateTime>,
}

/// A secret without its value.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Client {
    pub(crate) fn new(config: &AzureKeyVaultConfig) -> Result<Self, ConfigError> {
        let invalid = |field, problem| ConfigError::invalid("azure", field, problem);
        let vault = check_vault(&config.vault_url, config.allowed_host.as_deref())
            .map_err(|problem| invalid("vault_url", problem))?;
        let identity = Identity::new(config, &vault)?;
        let http = connection::to_vault(config).map_err(|problem| invalid("ca_cert", problem))?;
        let tokens = Arc::new(Tokens::new(identity, vault.clone()));
        let transport = ToVault { http, vault: vault.url.clone(), tokens: Arc::clone(&tokens) };
        let options = SecretClientOptions {
            client_options: pipeline(Transport::new(Arc::new(transport))),
            // Where it is not Azure's own, `Tokens` judges the resource.
            verify_challenge_resource: Some(vault.is_azures()),
            ..SecretClientOptions::default()
        };
        let sdk = SecretClient::new(vault.url.as_str(), tokens, Some(options))
            .map_err(|_| invalid("vault_url", "is not one that the SDK takes"))?;
        Ok(Self::of_sdk(sdk))
    }

    /// The caller's own client.
    pub(crate) fn of_sdk(sdk: SecretClient) -> Self {
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
        let content: RequestContent<SetSecretParameters> =
            parameters.try_into().map_err(|_| StorageError::other("the secret cannot be written as JSON"))?;
        let options = SecretClientSetSecretOptions { method_options: begun() };
        let answer = self.sdk.set_secret(name, content, Some(options)).await;
        self.model(answer.map_err(|error| self.told(&error, &call))?, "id").map(drop)
    }

    /// The latest version.
    pub(crate) async fn get(&self, name: &str) -> StorageResult<Latest> {
        let call = Call { right: "get", name };
        let options = SecretClientGetSecretOptions { method_options: begun(), ..Default::default() };
        let answer =
            self.sdk.get_secret(name, Some(options)).await.map_err(|error| self.told(&error, &call))?;
        let secret = self.model(answer, "id")?;
        let value = secret.value.ok_or_else(|| self.unread())?;
        Ok(Latest { value, id: secret.id })
    }

    /// Begins a deletion.
    pub(crate) async fn delete(&self, name: &str) -> StorageResult<()> {
        let call = Call { right: "delete", name };
        let options = SecretClientDeleteSecretOptions { method_options: begun() };
        let answer = self.sdk.delete_secret(name, Some(options)).await;
        self.model(answer.map_err(|error| self.told(&error, &call))?, "id").map(drop)
    }

    /// Begins a recovery, and gives the address of the version that comes back; `None`: Azure did
    /// not say.
    pub(crate) async fn recover(&self, name: &str) -> StorageResult<Option<String>> {
        let call = Call { right: "recover", name };
        let options = SecretClientRecoverDeletedSecretOptions { method_options: begun() };
        let answer = self
            .sdk
            .recover_deleted_secret(name, Some(options))
            .await
            .map_err(|error| self.told(&error, &call))?;
        Ok(self.model(answer, "id")?.id)
    }

    /// Begins a purge.
    pub(crate) async fn purge(&self, name: &str) -> StorageResult<()> {
        let call = Call { right: "purge", name };
        let options = SecretClientPurgeDeletedSecretOptions { method_options: begun() };
        let answer = self.sdk.purge_deleted_secret(name, Some(options)).await;
        let answer = answer.map_err(|error| self.told(&error, &call))?;
        match u16::from(answer.status()) {
            // It has no body.
            204 => Ok(()),
            _ => {
                let content_type = answer.headers().get_optional_str(&CONTENT_TYPE_HEADER);
                Err(self.foreign(content_type, Some(answer.body().as_ref())).error(SETTING))
            }
        }
    }

    /// How long Azure keeps a deleted secret.
    pub(crate) async fn retention(&self, name: &str) -> StorageResult<Retention> {
        let call = Call { right: "get", name };
        let options = SecretClientGetDeletedSecretOptions { method_options: begun() };
        let answer = self
            .sdk
            .get_deleted_secret(name, Some(options))
            .await
            .map_err(|error| self.told(&error, &call))?;
        let secret = self.model(answer, "id")?;
        let level = secret.attributes.and_then(|attributes| attributes.recovery_level);
        Ok(Retention {
            is_purgeable: level.is_none_or(|level| level.as_ref().contains("Purgeable")),
            ends: secret.scheduled_purge_date,
        })
    }

    /// A page of a list.
    pub(crate) async fn page(&self, shelf: Shelf, from: Option<&Next>) -> StorageResult<Page> {
        let call = Call { right: "list", name: "" };
        let context = begun().context.into_owned();
        let continuation = from.map(|Next(url)| PagerContinuation::Link(url.clone()));
        let method_options = PagerOptions { context, continuation };
        let (items, next): (Option<Vec<Item>>, _) = match shelf {
            Shelf::Live => {
                let options =
                    SecretClientListSecretPropertiesOptions { maxresults: Some(PAGE), method_options };
                let (page, next) = self.turned(self.sdk.list_secret_properties(Some(options)), &call).await?;
                (page.value.into_iter().map(|item| Item::new(item.id, item.tags)).collect(), next)
            }
            Shelf::Deleted => {
                let options =
                    SecretClientListDeletedSecretPropertiesOptions { maxresults: Some(PAGE), method_options };
                let (page, next) =
                    self.turned(self.sdk.list_deleted_secret_properties(Some(options)), &call).await?;
                (page.value.into_iter().map(|item| Item::new(item.id, item.tags)).collect(), next)
            }
        };
        Ok(Page { items: items.ok_or_else(|| self.unread())?, next: self.next(from, next)? })
    }

    /// Where a list goes on. Never at another host: the SDK would follow, and send the token along.
    fn next(&self, from: Option<&Next>, to: Option<PagerContinuation>) -> StorageResult<Option<Next>> {
        let url = match to {
            None => return Ok(None),
            Some(PagerContinuation::Link(url)) => url,
            Some(_) => return Err(self.unread()),
        };
        if url.origin() != self.sdk.endpoint().origin() {
            return Err(StorageError::other(format!(
                "`{}` names another host for the next page of the list, which is not asked; check {SETTING}",
                self.address
            )));
        }
        let next = Next(url);
        // It would never end.
        match from == Some(&next) {
            true => Err(StorageError::other("a page of the list names itself as the next one")),
            false => Ok(Some(next)),
        }
    }

    /// One page of a pager of the SDK, and where the next one is.
    async fn turned<P: Paged + DeserializeOwned + Send>(
        &self,
        pager: azure_core::Result<Pager<P>>,
        call: &Call<'_>,
    ) -> StorageResult<(P, Option<PagerContinuation>)> {
        let mut pages = pager.map_err(|error| self.told(&error, call))?.into_pages();
        let page = pages.next().await.ok_or_else(|| self.unread())?;
        let page = self.model(page.map_err(|error| self.told(&error, call))?, "value")?;
        Ok((page, pages.into_continuation()))
    }

    /// Reads an answer that has this member, as each of Key Vault's to the same call has.
    fn model<T: DeserializeOwned>(&self, answer: Response<T>, member: &str) -> StorageResult<T> {
        let content_type = answer.headers().get_optional_str(&CONTENT_TYPE_HEADER);
        let body = answer.body().as_ref();
        let has_member = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body)
            .is_ok_and(|members| members.contains_key(member));
        match serde_json::from_slice(body) {
            Ok(model) if has_member => Ok(model),
            _ => Err(self.foreign(content_type, Some(body)).error(SETTING)),
        }
    }

    /// The error of an answer that the SDK has read, or could not.
    fn unread(&self) -> StorageError {
        self.foreign(None, None).error(SETTING)
    }

    fn foreign<'a>(&'a self, content_type: Option<&'a str>, body: Option<&'a [u8]>) -> Foreign<'a> {
        Foreign { service: "Key Vault", address: Some(&self.address), content_type, body }
    }

    /// What the SDK says of a call that failed. Refusals are read from the body: the SDK's own
    /// reading fails at every escape.
    fn told(&self, error: &azure_core::Error, call: &Call<'_>) -> StorageError {
        match error.kind() {
            ErrorKind::HttpResponse { raw_response: Some(response), .. } => {
                let retry_after = response.headers().get_optional_str(&RETRY_AFTER);
                let retry_after =
                    retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                let content_type = response.headers().get_optional_str(&CONTENT_TYPE_HEADER);
                let foreign = self.foreign(content_type, Some(response.body().as_ref()));
                Refusal::read(u16::from(response.status()), retry_after, &foreign).explain(call)
            }
            ErrorKind::HttpResponse { status, .. } => {
                Refusal::read(u16::from(*status), None, &self.foreign(None, None)).explain(call)
            }
            // The parser's own words may repeat what it read.
            ErrorKind::DataConversion
                if cred_provider_kit::connection::cause::<serde_json::Error>(error).is_some() =>
            {
                self.unread()
            }
            _ => failed(error),
        }
    }
}

/// The setting that holds the address of the vault.
const SETTING: &str = "`vault_url`";

/// Host and port of an address, for errors.
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

impl Item {
    /// `https://vault/secrets/NAME`, or with a version behind it.
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

/// Who asks for tokens, without any of them.
pub(crate) struct Identity {
    method: AzureCredentialType,
    authority: String,
    /// `None`: tokens come from a program.
    transport: Option<Transport>,
}

impl Identity {
    fn new(config: &AzureKeyVaultConfig, vault: &Vault) -> Result<Self, ConfigError> {
        let invalid = |field, problem| ConfigError::invalid(config.provider_name(), field, problem);
        let authority = config.authority_host.clone().unwrap_or_else(|| vault.authority().to_owned());
        let hidden = match &config.credential_type {
            AzureCredentialType::ServicePrincipal { client_secret, .. } => Some(client_secret.clone()),
            AzureCredentialType::ManagedIdentity { .. } | AzureCredentialType::DeveloperTools => None,
        };
        let transport = match &config.credential_type {
            AzureCredentialType::DeveloperTools => None,
            _ => {
                let http = connection::to_tokens(config).map_err(|problem| invalid("ca_cert", problem))?;
                Some(Transport::new(Arc::new(ToTokens { http, hidden })))
            }
        };
        let identity = Self { method: config.credential_type.clone(), authority, transport };
        // An environment whose managed identity the SDK does not know is told now.
        identity.credential().map_err(|_| {
            invalid(
                "credential_type",
                "is not one that the SDK can use here; give a service principal instead",
            )
        })?;
        Ok(identity)
    }

    /// A credential that has no token yet.
    pub(crate) fn credential(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let options = || match &self.transport {
            Some(transport) => pipeline(transport.clone()),
            None => ClientOptions::default(),
        };
        Ok(match &self.method {
            AzureCredentialType::ServicePrincipal { tenant_id, client_id, client_secret } => {
                // Named, or the SDK would look into the environment.
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

/// The SDK's pipeline without retries of its own.
fn pipeline(transport: Transport) -> ClientOptions {
    ClientOptions { retry: RetryOptions::none(), transport: Some(transport), ..ClientOptions::default() }
}

/// When a call began, for whoever gives the token.
fn begun() -> ClientMethodOptions<'static> {
    let mut context = Context::new();
    context.insert(Begun(Instant::now()));
    ClientMethodOptions { context }
}
