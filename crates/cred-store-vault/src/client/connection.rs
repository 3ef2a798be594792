//! The HTTP client, and the checks of its settings.

use std::net::IpAddr;
use std::path::Path;

use reqwest::{Certificate, Url, redirect};

use crate::VaultConfig;

/// The properties of a server address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// It is used without TLS.
    pub(crate) plain: bool,
    /// It is on this host.
    pub(crate) loopback: bool,
}

/// Parses an address. The error continues a sentence that begins with the field.
pub(crate) fn check_address(address: &str) -> Result<Address, &'static str> {
    const FORM: &str = "is not the address of a server; write it as `https://vault.example.com:8200`";
    let url = Url::parse(address).map_err(|_| FORM)?;
    let plain = match url.scheme() {
        "http" => true,
        "https" => false,
        _ => return Err(FORM),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password, which Vault does not use; set `auth_method` instead");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("has more than a host and a port; remove `/v1` and everything else after them");
    }
    let host = url.host_str().ok_or(FORM)?;
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = number.map_or(host == "localhost", |number| number.is_loopback());
    Ok(Address { plain, loopback })
}

/// Returns host and port of an address, for errors.
pub(super) fn host_and_port(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

/// Checks that the file can be read and contains certificates.
pub(crate) fn check_authorities(file: Option<&Path>) -> Result<(), &'static str> {
    file.map_or(Ok(()), |file| authorities(file).map(drop))
}

fn authorities(file: &Path) -> Result<Vec<Certificate>, &'static str> {
    let bytes =
        std::fs::read(file).map_err(|_| "cannot be read; set it to a PEM file that this process can read")?;
    match Certificate::from_pem_bundle(&bytes) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(
            "contains no valid certificate; set it to a PEM file of the authorities that sign the server's certificate",
        ),
    }
}

/// Creates a client that connects only to the configured server.
pub(super) fn build(config: &VaultConfig) -> Result<reqwest::Client, (&'static str, &'static str)> {
    let address = check_address(&config.address).map_err(|problem| ("address", problem))?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_rustls()
        .https_only(!address.plain)
        .connect_timeout(config.timeout)
        // A redirect would send the token to any address that the response names.
        .redirect(redirect::Policy::none())
        // Whether reqwest uses the proxies of the environment would depend on the features that
        // other crates select.
        .no_proxy()
        .user_agent(concat!("cred-store-vault/", env!("CARGO_PKG_VERSION")));
    if address.plain {
        // On a system without certificates, building would fail although none is needed.
        builder = builder.tls_certs_only([]);
    } else if let Some(file) = &config.ca_cert {
        builder = builder.tls_certs_only(authorities(file).map_err(|problem| ("ca_cert", problem))?);
    }
    builder.build().map_err(|_| {
        (
            "ca_cert",
            "must be set, since this system has no trusted authorities to verify the server's certificate",
        )
    })
}
