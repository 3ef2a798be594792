//! Builds every backend into one program, with the features that each one requests, and uses it,
//! the remote ones over TLS: `cargo test -p cred-benches --features together`.
//!
//! Two SDKs with their default features would bring two crypto providers for rustls, which then
//! panics at the first connection. To add a backend, add a function here and a line in `remotes`.
#![allow(clippy::unwrap_used, reason = "a test may panic on failure")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_secretsmanager::Config;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use cred_core::{Credential, StorageProvider};
use cred_manager::CredentialManager;
use cred_manager::crypto::{KeyRing, SealingKey};
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
use cred_store_memory::MemoryStorageProvider;
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

type Provider = Arc<dyn StorageProvider>;

/// The remote backends.
fn remotes(server: &Server) -> Vec<(&'static str, Provider)> {
    vec![("vault", vault(server)), ("kubernetes", kubernetes(server)), ("azure", azure(server))]
}

fn azure(server: &Server) -> Provider {
    let guid = "11111111-2222-3333-4444-555555555555";
    let config = AzureKeyVaultConfig::default()
        .with_vault_url(&server.address)
        .with_allowed_host("localhost")
        .with_authority_host(server.address.clone())
        .with_ca_cert(server.authority.clone())
        .with_credential_type(AzureCredentialType::service_principal(guid, guid, "secret".into()));
    Arc::new(AzureKeyVaultProvider::new(config).unwrap())
}

/// The AWS SDK trusts only the system's certificate authorities, so the connection ends with the
/// certificate of this server.
fn aws(server: &Server) -> Provider {
    let sdk = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .endpoint_url(&server.address)
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"));
    let client = aws_sdk_secretsmanager::Client::from_conf(sdk.build());
    Arc::new(AwsSecretsManagerProvider::with_client(AwsSecretsManagerConfig::default(), client).unwrap())
}

fn vault(server: &Server) -> Provider {
    let config = VaultConfig::default()
        .with_address(&server.address)
        .with_ca_cert(server.authority.clone())
        .with_auth_method(VaultAuthMethod::token("token".into()));
    Arc::new(HashiCorpVaultProvider::new(config).unwrap())
}

fn kubernetes(server: &Server) -> Provider {
    let path = server.authority.with_file_name("kubeconfig");
    let (address, authority) = (&server.address, server.authority.display());
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n- name: x\n  cluster: {{server: \"{address}\", \
         certificate-authority: \"{authority}\"}}\nusers:\n- {{name: x, user: {{token: token}}}}\ncontexts:\n- {{name: x, context: \
         {{cluster: x, user: x}}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    Arc::new(
        KubernetesSecretsProvider::new(KubernetesSecretsConfig::default().with_kubeconfig_path(path))
            .unwrap(),
    )
}

fn manager(storage: Provider, folder: &Path) -> CredentialManager {
    let key = folder.join("key");
    if !key.exists() {
        SealingKey::create_file(&key).unwrap();
    }
    let keys = KeyRing::from_key_file("main".parse().unwrap(), &key).unwrap();
    CredentialManager::builder().storage(storage).keys(keys).build()
}

#[tokio::test]
async fn every_backend_works_in_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let id = "key".parse().unwrap();

    let local = LocalStorageConfig::default().with_base_path(folder.path().join("store"));
    let local: Provider = Arc::new(LocalStorageProvider::new(local).unwrap());
    for (name, storage) in [
        ("memory", Arc::new(MemoryStorageProvider::new(Default::default()).unwrap()) as Provider),
        ("local", local),
    ] {
        let manager = manager(storage, folder.path());
        manager.store(&id, Credential::api_key("sk_live_example")).await.unwrap();
        assert!(manager.retrieve(&id).await.unwrap().is_some(), "{name}");
    }

    let server = Server::start(folder.path()).await;
    for (name, storage) in remotes(&server) {
        let before = server.requests.load(Ordering::SeqCst);
        let found = manager(storage, folder.path()).retrieve(&id).await;
        assert!(found.unwrap().is_none(), "{name}");
        assert!(server.requests.load(Ordering::SeqCst) > before, "{name} sent no request over TLS");
    }
    let refused = manager(aws(&server), folder.path()).retrieve(&id).await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

/// Answers every request over TLS with "not found", in the format of all backends at once.
struct Server {
    address: String,
    authority: PathBuf,
    requests: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

const ABSENT: &str = r#"{"errors":[],"error":{"code":"SecretNotFound","message":""},"kind":"Status","reason":"NotFound","details":{"kind":"secrets"}}"#;

impl Server {
    async fn start(folder: &Path) -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let authority = folder.join("ca.pem");
        std::fs::write(&authority, key.cert.pem()).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        // Not the default of the process: the test is about which provider becomes the default.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
                connections.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = vec![0; 16 * 1_024];
                    // A read request has no body, so it arrives in one piece.
                    while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                        counter.fetch_add(1, Ordering::SeqCst);
                        let head =
                            format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", ABSENT.len());
                        let answer = format!("{head}{ABSENT}");
                        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err()
                        {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, authority, requests, _task: task }
    }
}
