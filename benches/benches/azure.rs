//! A read from Key Vault compared with the bare call of the SDK, against a TLS server in this
//! process: `cargo bench -p cred-benches --bench azure --features azure`.
#![allow(clippy::print_stdout, reason = "prints the round trip of the server")]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::models::Secret;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use cred_benches::ratio::{compare, head};
use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, StorageProvider as _,
    Timestamp, async_trait,
};
use cred_provider_kit::CredentialFile;
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tokio::runtime::Runtime;

const READS: u32 = 50;

fn main() {
    let (tls, authority) = certified();
    let server = serve(tls);
    println!(
        "The server answers in {:?}, measured over TLS without an HTTP client.\n",
        bare_round_trip(server, &authority)
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = format!("https://localhost:{}", server.port());
    let ours = provider(&address, &authority);
    let bare = bare(&address, &authority);
    // Get the challenge and the token before the measurement.
    runtime.block_on(async {
        ours.read().await;
        read_bare(&bare).await;
    });
    head();
    compare(
        "provider get / SDK get_secret, loopback TLS",
        1.15,
        400,
        || timed(&runtime, async || drop(black_box(ours.read().await))),
        || timed(&runtime, async || drop(black_box(read_bare(&bare).await))),
    );
}

fn timed(runtime: &Runtime, work: impl AsyncFn()) -> Duration {
    let begun = Instant::now();
    runtime.block_on(async {
        for _ in 0..READS {
            work().await;
        }
    });
    begun.elapsed()
}

struct Ours {
    provider: AzureKeyVaultProvider,
    id: CredentialId,
    ctx: CredentialContext,
}

impl Ours {
    async fn read(&self) -> cred_core::Sealed {
        self.provider.retrieve(&self.id, &self.ctx).await.unwrap()
    }
}

fn provider(address: &str, authority: &str) -> Ours {
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), authority).unwrap();
    let guid = "11111111-2222-3333-4444-555555555555";
    let config = AzureKeyVaultConfig::default()
        .with_vault_url(address)
        .with_allowed_host("localhost")
        .with_authority_host(address)
        .with_ca_cert(ca.path())
        .with_credential_type(AzureCredentialType::service_principal(guid, guid, "secret".into()));
    let provider = AzureKeyVaultProvider::new(config).unwrap();
    Ours { provider, id: "key".parse().unwrap(), ctx: CredentialContext::unscoped() }
}

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("token", OffsetDateTime::now_utc() + Duration::from_secs(3_600)))
    }
}

fn bare(address: &str, authority: &str) -> SecretClient {
    let certificates = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only(certificates).no_proxy().build().unwrap();
    let client_options = ClientOptions {
        transport: Some(Transport::new(Arc::new(http))),
        retry: RetryOptions::none(),
        ..ClientOptions::default()
    };
    let options = SecretClientOptions {
        client_options,
        verify_challenge_resource: Some(false),
        ..SecretClientOptions::default()
    };
    SecretClient::new(address, Arc::new(Token), Some(options)).unwrap()
}

async fn read_bare(client: &SecretClient) -> Secret {
    client.get_secret("nebula-credentials-key", None).await.unwrap().into_model().unwrap()
}

fn certified() -> (Arc<ServerConfig>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .unwrap();
    (Arc::new(config), authority.pem())
}

fn http(status: &str, header: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{header}\r\n{body}")
        .into_bytes()
}

/// Key Vault's answer to a read of a credential of 1 KiB.
fn secret() -> Vec<u8> {
    let key_id: KeyId = "main".parse().unwrap();
    let data = EncryptedData::new(key_id, [1; 32], [2; 32], [3; 12], vec![4; 1_024], [5; 16]);
    let envelope = CredentialFile::new(data, CredentialMetadata::new(Timestamp::now())).encode().unwrap();
    let envelope = String::from_utf8(envelope).unwrap().replace('"', "\\\"");
    let body = format!(
        r#"{{"value":"{envelope}","contentType":"application/vnd.cred+json","id":"https://localhost/secrets/nebula-credentials-key/4e5f6a7b000000000000000000000000","attributes":{{"enabled":true,"created":1767225600,"updated":1767225600,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}},"tags":{{}}}}"#
    );
    http("200 OK", "", &body)
}

/// The answer to a complete request.
fn answer(request: &[u8], secret: &[u8]) -> Vec<u8> {
    if request.starts_with(b"POST") {
        return http("200 OK", "", r#"{"token_type":"Bearer","expires_in":3600,"access_token":"token"}"#);
    }
    if !request.windows(7).any(|window| window.eq_ignore_ascii_case(b"bearer ")) {
        let challenge = "WWW-Authenticate: Bearer authorization=\"https://localhost/t\", resource=\"https://vault.azure.net\"\r\n";
        return http("401 Unauthorized", challenge, "{}");
    }
    secret.to_vec()
}

/// Starts a server with one thread per connection. It runs until the process exits.
fn serve(tls: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let secret = secret();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tls, secret) = (stream.unwrap(), Arc::clone(&tls), secret.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut stream: StreamOwned<_, TcpStream> =
                    StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
                let mut request = [0; 8 * 1_024];
                // These clients send each request in one TLS record.
                while let Ok(count @ 1..) = stream.read(&mut request) {
                    let answer = answer(request.get(..count).unwrap(), &secret);
                    if stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn bare_round_trip(server: SocketAddr, authority: &str) -> Duration {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(server).unwrap();
    socket.set_nodelay(true).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let mut taken = vec![0; secret().len()];
    let begun = Instant::now();
    for _ in 0..1_000 {
        stream.write_all(b"GET / HTTP/1.1\r\nauthorization: Bearer token\r\n\r\n").unwrap();
        stream.read_exact(&mut taken).unwrap();
    }
    begun.elapsed() / 1_000
}
