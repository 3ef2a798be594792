//! The HTTP clients, and the checks of addresses.

use std::path::Path;

use reqwest::{Certificate, Url, redirect};

use crate::AzureKeyVaultConfig;

/// The domains of Azure's vaults, each with the authority that issues tokens for it: [vaults of the
/// public and the sovereign
/// clouds](https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates),
/// [their
/// authorities](https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud).
const CLOUDS: [(&str, &str); 4] = [
    ("vault.azure.net", "https://login.microsoftonline.com"),
    ("vault.azure.cn", "https://login.chinacloudapi.cn"),
    ("vault.usgovcloudapi.net", "https://login.microsoftonline.us"),
    ("vault.microsoftazure.de", "https://login.microsoftonline.de"),
];

/// The address of a vault, and its cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vault {
    pub(crate) url: Url,
    /// Domain and authority; `None`: only the configuration allows this host.
    cloud: Option<(&'static str, &'static str)>,
}

impl Vault {
    /// Returns the authority that issues tokens for the vault.
    pub(crate) fn authority(&self) -> &'static str {
        self.cloud.map_or(CLOUDS[0].1, |(_, authority)| authority)
    }

    pub(crate) fn is_azure_host(&self) -> bool {
        self.cloud.is_some()
    }

    /// Returns whether a token for this scope may be sent to the vault: only one for Key Vault or
    /// for exactly this host. Any other token would give the host access to other services.
    pub(crate) fn may_receive_token(&self, scope: &str) -> bool {
        let Some(resource) = scope.strip_suffix("/.default").and_then(|resource| Url::parse(resource).ok())
        else {
            return false;
        };
        let host = resource.host_str().unwrap_or_default();
        let is_own_host = self.cloud.is_none() && Some(host) == self.url.host_str();
        resource.scheme() == "https" && (is_own_host || CLOUDS.iter().any(|(cloud, _)| *cloud == host))
    }
}

/// Parses the address of a vault. The error continues a sentence that begins with the field.
pub(crate) fn check_vault(address: &str, allowed_host: Option<&str>) -> Result<Vault, &'static str> {
    let url = check_origin(address)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if allowed_host.is_some_and(|allowed| allowed.eq_ignore_ascii_case(&host)) {
        return Ok(Vault { url, cloud: None });
    }
    // Compares whole labels: `evil-vault.azure.net` and `x.vault.azure.net.example.com` do not
    // belong to Azure.
    let below = |cloud: &str| {
        let name = host.strip_suffix(cloud).and_then(|name| name.strip_suffix('.'));
        name.is_some_and(|name| !name.is_empty() && !name.contains('.'))
    };
    match CLOUDS.into_iter().find(|(cloud, _)| below(cloud)) {
        Some(cloud) => Ok(Vault { url, cloud: Some(cloud) }),
        None => Err(
            "is not a host of Azure Key Vault, such as `my-vault.vault.azure.net`; to use it anyway, set \
             `allowed_host`",
        ),
    }
}

/// Parses an address that consists only of https, a host and a port.
pub(crate) fn check_origin(address: &str) -> Result<Url, &'static str> {
    let url = Url::parse(address)
        .map_err(|_| "is not the address of a server; write it as `https://my-vault.vault.azure.net/`")?;
    if url.scheme() != "https" {
        return Err("is not https, which is required to send tokens and values");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password, which Azure does not use; set `credential_type` instead");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("has more than a host and a port; remove everything after them");
    }
    Ok(url)
}

/// Checks that the file can be read and contains certificates.
pub(crate) fn check_authorities(file: Option<&Path>) -> Result<(), &'static str> {
    authorities(file).map(drop)
}

fn authorities(file: Option<&Path>) -> Result<Vec<Certificate>, &'static str> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let bytes =
        std::fs::read(file).map_err(|_| "cannot be read; set it to a PEM file that this process can read")?;
    match Certificate::from_pem_bundle(&bytes) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(
            "contains no certificate; set it to a PEM file of the authorities that sign the server's certificate",
        ),
    }
}

/// Creates the HTTP client for the vault.
pub(super) fn vault_client(config: &AzureKeyVaultConfig) -> Result<reqwest::Client, &'static str> {
    let builder = builder(config).https_only(true);
    let builder = match &config.ca_cert {
        Some(file) => builder.tls_certs_only(authorities(Some(file))?),
        None => builder,
    };
    build(builder)
}

/// Creates the HTTP client for tokens. They come from an authority over https, or from the local
/// endpoint of the machine, for which Azure uses plain http.
pub(super) fn token_client(config: &AzureKeyVaultConfig) -> Result<reqwest::Client, &'static str> {
    build(builder(config).tls_certs_merge(authorities(config.ca_cert.as_deref())?))
}

fn builder(config: &AzureKeyVaultConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_rustls()
        .connect_timeout(config.timeout)
        .read_timeout(config.timeout.saturating_mul(2))
        // A redirect would send the token to any address that the response names.
        .redirect(redirect::Policy::none())
        // Otherwise the features that other crates enable would decide whether the proxies of the
        // environment are used.
        .no_proxy()
        .http1_only()
        .user_agent(concat!("cred-store-azure/", env!("CARGO_PKG_VERSION")))
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, &'static str> {
    builder.build().map_err(|_| "is needed, because this system has no trusted certificate authorities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_host_is_one_label_below_an_azure_domain() {
        for good in [
            "https://my-vault.vault.azure.net",
            "https://my-vault.vault.azure.net/",
            "https://MY-VAULT.VAULT.AZURE.NET:8443/",
            "https://my-vault.vault.azure.cn",
            "https://my-vault.vault.usgovcloudapi.net",
            "https://my-vault.vault.microsoftazure.de",
        ] {
            assert!(check_vault(good, None).is_ok_and(|vault| vault.is_azure_host()), "{good}");
        }
        for bad in [
            "my-vault.vault.azure.net",
            "http://my-vault.vault.azure.net",
            "https://vault.azure.net",
            "https://.vault.azure.net",
            "https://my-vault.vault.azure.net.",
            "https://my-vault.vault.azure.net.example.com",
            "https://evil/.vault.azure.net",
            "https://evil.example/?.vault.azure.net",
            "https://evil.example#.vault.azure.net",
            "https://my-vault.vault.azure.net@evil.example",
            "https://user:hunter2@my-vault.vault.azure.net",
            "https://evil-vault.azure.net",
            "https://evilvault.azure.net",
            "https://a.b.vault.azure.net",
            "https://my-vault.vault.azure.net/secrets",
            "https://my-vault.vault.azure.net//",
            "https://127.0.0.1",
            "https://my-vault.managedhsm.azure.net",
        ] {
            assert!(check_vault(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_host_must_be_allowed_explicitly() {
        let vault = check_vault("https://LOCALHOST:8443", Some("localhost")).unwrap();
        assert!(!vault.is_azure_host());
        assert!(check_vault("https://localhost.example", Some("localhost")).is_err());
    }

    #[test]
    fn the_authority_is_that_of_the_vaults_cloud() {
        let authority = |url: &str| check_vault(url, Some("localhost")).unwrap().authority();
        assert_eq!(authority("https://a.vault.azure.net"), "https://login.microsoftonline.com");
        assert_eq!(authority("https://a.vault.azure.cn"), "https://login.chinacloudapi.cn");
        assert_eq!(authority("https://localhost"), "https://login.microsoftonline.com");
    }

    #[test]
    fn no_token_for_another_service_is_requested() {
        let vault = check_vault("https://vault.internal", Some("vault.internal")).unwrap();
        for good in ["https://vault.azure.net/.default", "https://vault.internal/.default"] {
            assert!(vault.may_receive_token(good), "{good}");
        }
        for bad in [
            "https://management.azure.com/.default",
            "https://vault.azure.net.evil/.default",
            "http://vault.azure.net/.default",
            "https://vault.azure.net",
            "",
        ] {
            assert!(!vault.may_receive_token(bad), "{bad}");
        }
    }
}
