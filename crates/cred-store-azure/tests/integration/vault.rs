//! The vault under test, and access to it without the provider.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};
use azure_security_keyvault_secrets::models::SetSecretParameters;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use cred_testing::value::{fresh, variable};
use reqwest::{Certificate, Url};

/// The vault that `cargo xtask test-integration` has started or was given. The client has all
/// rights on secrets.
#[derive(Clone)]
pub(crate) struct Vault {
    pub(crate) url: Url,
    pub(crate) host: String,
    pub(crate) tenant_id: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) authority: String,
    pub(crate) ca: PathBuf,
}

impl Vault {
    pub(crate) fn new() -> Self {
        let url: Url = variable("CRED_TEST_AZURE_VAULT_URL").parse().unwrap();
        Self {
            host: url.host_str().unwrap().to_owned(),
            url,
            tenant_id: variable("CRED_TEST_AZURE_TENANT_ID"),
            client_id: variable("CRED_TEST_AZURE_CLIENT_ID"),
            client_secret: variable("CRED_TEST_AZURE_CLIENT_SECRET"),
            authority: variable("CRED_TEST_AZURE_AUTHORITY"),
            ca: variable("CRED_TEST_AZURE_CA").into(),
        }
    }

    pub(crate) fn server(&self) -> SocketAddr {
        let port = self.url.port_or_known_default().unwrap();
        (self.host.as_str(), port).to_socket_addrs().unwrap().next().unwrap()
    }

    pub(crate) fn authorities(&self) -> Vec<u8> {
        std::fs::read(&self.ca).unwrap()
    }

    /// Returns a configuration with a new prefix.
    pub(crate) fn config(&self) -> AzureKeyVaultConfig {
        let secret = self.client_secret.as_str().into();
        let mut config = AzureKeyVaultConfig::default()
            .with_vault_url(self.url.as_str())
            .with_credential_type(AzureCredentialType::service_principal(
                &self.tenant_id,
                &self.client_id,
                secret,
            ))
            .with_authority_host(self.authority.clone())
            .with_ca_cert(self.ca.clone())
            .with_secret_prefix(format!("test-{}-", fresh()));
        config.allowed_host = (!self.is_azure_host()).then(|| self.host.clone());
        config
    }

    /// Creates a provider that connects to the vault through a server on loopback, whose
    /// certificate is signed by these authorities.
    pub(crate) fn provider(
        &self,
        config: AzureKeyVaultConfig,
        through: SocketAddr,
        authorities: &[u8],
    ) -> AzureKeyVaultProvider {
        let mut url = self.url.clone();
        url.set_port(Some(through.port())).unwrap();
        if self.is_azure_host() {
            // Keeps the host name, but resolves it to the other address.
            return AzureKeyVaultProvider::with_client(config, self.client(&url, Some(through), authorities))
                .unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [authorities, &self.authorities()].concat()).unwrap();
        let config = config.with_vault_url(url.as_str()).with_ca_cert(file.path());
        AzureKeyVaultProvider::new(config).unwrap()
    }

    /// Returns a client of the SDK, for access without the provider.
    pub(crate) fn sdk(&self) -> SecretClient {
        self.client(&self.url, None, &self.authorities())
    }

    /// Reads the value and the tags of a secret.
    pub(crate) async fn raw(
        &self,
        name: &str,
    ) -> Option<(String, std::collections::HashMap<String, String>)> {
        let secret = self.sdk().get_secret(name, None).await.ok()?.into_model().unwrap();
        Some((secret.value?, secret.tags.unwrap_or_default()))
    }

    pub(crate) async fn set_raw(
        &self,
        name: &str,
        value: &str,
        tags: std::collections::HashMap<String, String>,
    ) {
        let parameters =
            SetSecretParameters { value: Some(value.to_owned()), tags: Some(tags), ..Default::default() };
        self.sdk().set_secret(name, parameters.try_into().unwrap(), None).await.unwrap();
    }

    fn is_azure_host(&self) -> bool {
        self.host.ends_with(".vault.azure.net")
    }

    fn client(&self, url: &Url, through: Option<SocketAddr>, authorities: &[u8]) -> SecretClient {
        let tokens = options(client(&self.authorities(), None));
        let mut authority = CustomConfiguration::default();
        authority.authority_host = self.authority.clone();
        let client_options =
            ClientOptions { cloud: Some(Arc::new(CloudConfiguration::Custom(authority))), ..tokens };
        let credential = ClientSecretCredential::new(
            &self.tenant_id,
            self.client_id.clone(),
            self.client_secret.clone().into(),
            Some(ClientSecretCredentialOptions { client_options }),
        );
        let resolved = through.map(|through| (self.host.as_str(), through));
        let options = SecretClientOptions {
            client_options: options(client(authorities, resolved)),
            verify_challenge_resource: Some(self.is_azure_host()),
            ..SecretClientOptions::default()
        };
        SecretClient::new(url.as_str(), credential.unwrap(), Some(options)).unwrap()
    }
}

fn options(http: reqwest::Client) -> ClientOptions {
    let transport = Some(Transport::new(Arc::new(http)));
    ClientOptions { transport, retry: RetryOptions::none(), ..ClientOptions::default() }
}

fn client(authorities: &[u8], resolved: Option<(&str, SocketAddr)>) -> reqwest::Client {
    let certificates = Certificate::from_pem_bundle(authorities).unwrap();
    let mut builder = reqwest::Client::builder().tls_certs_only(certificates).no_proxy();
    if let Some((host, address)) = resolved {
        builder = builder.resolve(host, address);
    }
    builder.build().unwrap()
}
