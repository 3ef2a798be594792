//! The verification of the server certificate.
#![cfg(test)]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{ProviderConfig, RetryPolicy, StorageError, StorageErrorKind, StorageProvider};
use cred_fault_proxy::{Fault, Proxy};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use cred_testing::http::Server;
use cred_testing::value::{id, unscoped};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A test certificate authority.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        Self::called("an authority")
    }

    fn called(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    /// Starts a server with a certificate for `host` that is valid or has expired.
    async fn server(&self, host: &str, expired: bool) -> Server {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let settings = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], secret)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(settings));
        // Responds as Vault does for an absent secret.
        Server::over(move |stream| tls.accept(stream), |_| (404, r#"{"errors":[]}"#)).await
    }
}

fn config(host: &str, port: u16, trusted: &Authority) -> VaultConfig {
    VaultConfig::default()
        .with_address(format!("https://{host}:{port}"))
        .with_auth_method(VaultAuthMethod::token("token".into()))
        .with_ca_cert(trusted.file.path())
        .with_retry_policy(RetryPolicy::default().with_max_retries(1).with_base_delay_ms(10))
}

async fn read(config: VaultConfig) -> StorageError {
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    provider.retrieve(&id("key"), &unscoped()).await.unwrap_err()
}

fn assert_refused(error: &StorageError, why: &str) {
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(
        error.to_string().contains("the certificate of `localhost:") && error.to_string().contains(why),
        "{error}"
    );
}

#[tokio::test]
async fn a_configured_authority_is_trusted() {
    let authority = Authority::new();
    let server = authority.server("localhost", false).await;
    let error = read(config("localhost", server.address().port(), &authority)).await;
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn another_authority_is_refused() {
    let server = Authority::new().server("localhost", false).await;
    for other in [Authority::called("another authority"), Authority::new()] {
        let error = read(config("localhost", server.address().port(), &other)).await;
        assert_refused(&error, "not signed by an authority that is trusted");
    }
}

#[tokio::test]
async fn another_host_is_refused() {
    let authority = Authority::new();
    let server = authority.server("vault.example.com", false).await;
    assert_refused(&read(config("localhost", server.address().port(), &authority)).await, "for another host");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let server = authority.server("localhost", true).await;
    assert_refused(&read(config("localhost", server.address().port(), &authority)).await, "has expired");
}

#[tokio::test]
async fn a_port_without_tls_and_an_unknown_host_name_are_reported() {
    let authority = Authority::new();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    // Responds like a web server without TLS.
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let error = read(config("localhost", port, &authority)).await;
    server.abort();
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");

    // The domain `invalid` never contains a host.
    let error = read(config("vault.invalid", 8200, &authority)).await;
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("`vault.invalid:8200`: DNS cannot resolve the host"), "{error}");
}

#[test]
fn verification_cannot_be_disabled_for_https() {
    let config = config("localhost", 8200, &Authority::new()).with_tls_verify(false);
    assert_eq!(config.validate().unwrap_err().field(), "tls_verify");
    assert!(HashiCorpVaultProvider::new(config).is_err());
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    let authority = Authority::new();
    std::fs::write(authority.file.path(), "no certificate").unwrap();
    let error = config("localhost", 8200, &authority).validate().unwrap_err();
    assert_eq!(error.field(), "ca_cert");
}

#[tokio::test]
async fn an_interrupted_handshake_is_unreachable() {
    let authority = Authority::new();
    let server = authority.server("localhost", false).await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    for fault in [Fault::Reset(0), Fault::Reset(100), Fault::Truncate(5), Fault::LoseAnswer] {
        proxy.fail_always(fault.clone());
        let error = read(config("localhost", proxy.address().port(), &authority)).await;
        assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{fault:?}: {error:?}");
    }
    // If only the first attempt fails, the second one succeeds.
    proxy.fail_once(Fault::Reset(100));
    assert!(read(config("localhost", proxy.address().port(), &authority)).await.is_not_found());
}

#[tokio::test]
async fn a_stalled_handshake_times_out() {
    let authority = Authority::new();
    let server = authority.server("localhost", false).await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    proxy.fail_always(Fault::Stall);
    let config = config("localhost", proxy.address().port(), &authority)
        .with_timeout(Duration::from_secs(1))
        .with_operation_timeout(Duration::from_secs(3));
    let error = tokio::time::timeout(Duration::from_secs(5), read(config)).await.unwrap();
    assert!(error.is_transient(), "{error:?}");
}
