//! Calls to Secrets Manager. Each function calls one operation.

mod address;
mod connection;
mod redaction;

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;

use aws_sdk_secretsmanager::Client as SdkClient;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::RequestId as _;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use cred_core::{StorageError, StorageResult};
use cred_provider_kit::ForeignResponse;
use tokio::sync::OnceCell;

use self::address::Address;
pub(crate) use self::connection::check_endpoint;
use crate::AwsSecretsManagerConfig;
use crate::error::{Action, ErrorResponse, IncompleteResponse, binary_value_error};

/// One account and region of Secrets Manager.
pub(crate) struct Client {
    config: AwsSecretsManagerConfig,
    /// Created at the first use, because AWS's chain reads files and may use the network.
    sdk: OnceCell<SdkClient>,
    /// The address of the endpoint, for errors.
    address: Address,
}

/// A version to write.
#[derive(Debug)]
pub(crate) struct NewVersion {
    pub(crate) name: String,
    pub(crate) envelope: String,
    /// The request token. It becomes the id of the version, and AWS treats several attempts with
    /// it as one write.
    pub(crate) token: String,
    /// The path, if the name is hashed.
    pub(crate) description: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

/// The state of a secret, without its value.
#[derive(Debug)]
pub(crate) struct SecretState {
    /// Whether the secret is scheduled for deletion. Until it is deleted, it can be restored.
    pub(crate) scheduled: bool,
    /// The id of the current version.
    pub(crate) current_version: Option<String>,
    /// All tags, including those of other users.
    pub(crate) tags: BTreeMap<String, String>,
}

/// One secret in a page of a list.
#[derive(Debug)]
pub(crate) struct ListedSecret {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) scheduled: bool,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) secrets: Vec<ListedSecret>,
    pub(crate) next_token: Option<String>,
}

/// The name of a secret in a batch, and its value.
type NamedValue = (String, StorageResult<String>);

impl Client {
    /// The maximum number of names in one `BatchGetSecretValue`.
    pub(crate) const BATCH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19);
    /// The number of secrets in one page, which is the maximum.
    const PAGE: i32 = 100;

    pub(crate) fn new(config: AwsSecretsManagerConfig) -> Self {
        Self { config, sdk: OnceCell::new(), address: Address::default() }
    }

    /// Creates a client from the caller's SDK client.
    pub(crate) fn from_sdk(config: AwsSecretsManagerConfig, client: &SdkClient) -> Self {
        let address = Address::default();
        let sdk = OnceCell::new_with(Some(connection::from_sdk(client, &address)));
        Self { config, sdk, address }
    }

    pub(crate) fn is_initialized(&self) -> bool {
        self.sdk.initialized()
    }

    /// Reads the settings from AWS's chain. If several operations wait for them, one reads them; if
    /// that one is dropped, the next takes over.
    pub(crate) async fn initialize(&self) -> StorageResult<()> {
        self.sdk().await.map(drop)
    }

    /// Checks that AWS's chain has credentials.
    pub(crate) async fn check_credentials(&self) -> StorageResult<()> {
        boxed(connection::check_credentials(self.sdk().await?)).await
    }

    async fn sdk(&self) -> StorageResult<&SdkClient> {
        self.sdk.get_or_try_init(|| boxed(connection::open(&self.config, &self.address))).await
    }

    /// Creates a secret with its first version.
    pub(crate) async fn create(&self, version: &NewVersion) -> StorageResult<()> {
        let call = self.sdk().await?.create_secret();
        let call = call
            .name(&version.name)
            .secret_string(&version.envelope)
            .client_request_token(&version.token)
            .set_description(version.description.clone())
            .set_kms_key_id(self.config.kms_key_id.clone())
            .set_tags(Some(tags(&version.tags)).filter(|tags| !tags.is_empty()));
        let done = boxed(call.send()).await;
        let done = done.map_err(|error| self.call_error(&action("CreateSecret", &version.name), error))?;
        self.require_name(done.arn().or(done.name()))
    }

    /// Writes a new version of an existing secret.
    pub(crate) async fn update(&self, version: &NewVersion) -> StorageResult<()> {
        let call = self.sdk().await?.update_secret();
        let call = call
            .secret_id(&version.name)
            .secret_string(&version.envelope)
            .client_request_token(&version.token)
            .set_description(version.description.clone())
            .set_kms_key_id(self.config.kms_key_id.clone());
        let done = boxed(call.send()).await;
        let done = done.map_err(|error| self.call_error(&action("UpdateSecret", &version.name), error))?;
        self.require_name(done.arn().or(done.name()))
    }

    /// Sets tags, and leaves others unchanged.
    pub(crate) async fn tag(&self, name: &str, set: &BTreeMap<String, String>) -> StorageResult<()> {
        let call = self.sdk().await?.tag_resource().secret_id(name).set_tags(Some(tags(set)));
        let done = boxed(call.send()).await;
        done.map(drop).map_err(|error| self.call_error(&action("TagResource", name), error))
    }

    /// Removes the tags with these keys, and leaves others unchanged. Idempotent.
    pub(crate) async fn untag(&self, name: &str, keys: &[String]) -> StorageResult<()> {
        let call = self.sdk().await?.untag_resource().secret_id(name).set_tag_keys(Some(keys.to_vec()));
        let done = boxed(call.send()).await;
        done.map(drop).map_err(|error| self.call_error(&action("UntagResource", name), error))
    }

    /// Reads the value of the current version.
    pub(crate) async fn value(&self, name: &str) -> StorageResult<String> {
        let call = self.sdk().await?.get_secret_value().secret_id(name);
        let secret = boxed(call.send())
            .await
            .map_err(|error| self.call_error(&action("GetSecretValue", name), error))?;
        self.require_name(secret.arn().or(secret.name()))?;
        secret.secret_string.ok_or_else(binary_value_error)
    }

    /// Reads the values of the current versions of up to [`Client::BATCH`] names, which must be
    /// distinct. The results have no order, and AWS may leave some out.
    pub(crate) async fn values(&self, names: &[String]) -> StorageResult<Vec<NamedValue>> {
        let call = self.sdk().await?.batch_get_secret_value().set_secret_id_list(Some(names.to_vec()));
        let batch = boxed(call.send())
            .await
            .map_err(|error| self.call_error(&action("BatchGetSecretValue", "*"), error))?;
        if batch.secret_values.is_none() && batch.errors.is_none() {
            return Err(self.unexpected_form_error());
        }
        let values = batch.secret_values.unwrap_or_default().into_iter();
        let values = values
            .filter_map(|secret| Some((secret.name?, secret.secret_string.ok_or_else(binary_value_error))));
        let errors = batch.errors.unwrap_or_default().into_iter().filter_map(|error| {
            let name = error.secret_id?;
            let refusal = ErrorResponse {
                status: 400,
                code: error.error_code.as_deref(),
                message: error.message.as_deref(),
                retry_after: None,
            };
            let error = refusal.storage_error(&action("GetSecretValue", &name));
            Some((name, Err(error)))
        });
        Ok(values.chain(errors).collect())
    }

    /// Returns the state of a secret, whatever its value; `None`: it does not exist.
    pub(crate) async fn describe(&self, name: &str) -> StorageResult<Option<SecretState>> {
        let call = self.sdk().await?.describe_secret().secret_id(name);
        match boxed(call.send()).await {
            Ok(secret) => {
                self.require_name(secret.arn().or(secret.name()))?;
                let versions = secret.version_ids_to_stages.unwrap_or_default().into_iter();
                let mut current =
                    versions.filter(|(_, stages)| stages.iter().any(|stage| stage == "AWSCURRENT"));
                let current_version = current.next().map(|(version, _)| version);
                let tags = secret.tags.unwrap_or_default().into_iter();
                let tags = tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect();
                Ok(Some(SecretState { scheduled: secret.deleted_date.is_some(), current_version, tags }))
            }
            Err(error) => match self.call_error(&action("DescribeSecret", name), error) {
                error if error.is_not_found() => Ok(None),
                error => Err(error),
            },
        }
    }

    /// Lists one page of the secrets with this prefix. `None`: AWS no longer accepts the page
    /// token, and the list must be started again.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        scheduled: bool,
        next_token: Option<&str>,
    ) -> StorageResult<Option<Page>> {
        let mut call = self.sdk().await?.list_secrets().max_results(Self::PAGE);
        if !prefix.is_empty() {
            call = call.filters(Filter::builder().key(FilterNameStringType::Name).values(prefix).build());
        }
        if scheduled {
            call = call.include_planned_deletion(true);
        }
        let page = match boxed(call.set_next_token(next_token.map(str::to_owned)).send()).await {
            Ok(page) => page,
            Err(error) if error.code() == Some("InvalidNextTokenException") => return Ok(None),
            Err(error) => return Err(self.call_error(&action("ListSecrets", "*"), error)),
        };
        let secrets = page.secret_list.ok_or_else(|| self.unexpected_form_error())?.into_iter();
        let secrets = secrets.map(|secret| {
            let name = secret.name.ok_or_else(|| self.unexpected_form_error())?;
            let scheduled = secret.deleted_date.is_some();
            Ok(ListedSecret { name, description: secret.description, scheduled })
        });
        Ok(Some(Page { secrets: secrets.collect::<StorageResult<_>>()?, next_token: page.next_token }))
    }

    /// Schedules the deletion of a secret in `window` days; `None`: deletes it permanently.
    pub(crate) async fn delete(&self, name: &str, window: Option<u8>) -> StorageResult<()> {
        let call = self.sdk().await?.delete_secret().secret_id(name);
        let call = match window {
            Some(days) => call.recovery_window_in_days(days.into()),
            None => call.force_delete_without_recovery(true),
        };
        let done = boxed(call.send()).await;
        let done = done.map_err(|error| self.call_error(&action("DeleteSecret", name), error))?;
        // If the secret did not exist, AWS may return neither name nor ARN. The request id is then
        // enough.
        match done.deletion_date() {
            Some(_) => Ok(()),
            None => self.require_name(done.arn().or(done.name()).or(done.request_id())),
        }
    }

    /// Cancels the scheduled deletion of a secret.
    pub(crate) async fn restore(&self, name: &str) -> StorageResult<()> {
        let call = self.sdk().await?.restore_secret().secret_id(name);
        let done = boxed(call.send()).await;
        let done = done.map_err(|error| self.call_error(&action("RestoreSecret", name), error))?;
        self.require_name(done.arn().or(done.name()))
    }

    /// Fails if the response has neither a name nor an ARN. AWS's responses about one secret do.
    fn require_name(&self, name: Option<&str>) -> StorageResult<()> {
        name.map(drop).ok_or_else(|| self.unexpected_form_error())
    }

    /// The error for a response that the SDK could parse but that is not from AWS.
    fn unexpected_form_error(&self) -> StorageError {
        self.foreign(None, Some(b"{}")).error(ENDPOINT_SETTING)
    }

    fn foreign<'a>(&'a self, content_type: Option<&'a str>, body: Option<&'a [u8]>) -> ForeignResponse<'a> {
        ForeignResponse { service: "AWS", address: self.address.get(), content_type, body }
    }

    /// Converts the error of a call: an error response, or a missing or incomplete response.
    fn call_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &Action<'_>,
        error: SdkError<E, HttpResponse>,
    ) -> StorageError {
        let address = self.address.get();
        let Some(raw) = error.raw_response() else {
            return IncompleteResponse { parse_error: None, address, cause: &error }.storage_error(action);
        };
        let foreign = self.foreign(raw.headers().get("content-type"), raw.body().bytes());
        let SdkError::ServiceError(refused) = &error else {
            return IncompleteResponse {
                parse_error: Some(foreign.error(ENDPOINT_SETTING)),
                address,
                cause: &error,
            }
            .storage_error(action);
        };
        let (status, code) = (raw.status(), refused.err().code());
        if status.is_success() && code.is_none() {
            return foreign.error(ENDPOINT_SETTING);
        }
        let described = code.is_none().then(|| foreign.to_string());
        let message = refused.err().message().or(described.as_deref());
        let retry_after = raw.headers().get("retry-after");
        ErrorResponse { status: status.as_u16(), code, message, retry_after }.storage_error(action)
    }
}

/// The setting that determines the address of the endpoint.
const ENDPOINT_SETTING: &str = "the endpoint (`endpoint_url`, or that of the region)";

/// Puts a future of the SDK on the heap. The SDK's futures have thousands of bytes and reach the
/// compiler's limit of nesting, so they are not made a part of the callers' futures.
fn boxed<F: Future>(call: F) -> Pin<Box<F>> {
    Box::pin(call)
}

fn tags(all: &BTreeMap<String, String>) -> Vec<Tag> {
    all.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn action<'a>(operation: &'static str, secret_name: &'a str) -> Action<'a> {
    Action { operation, secret_name }
}
