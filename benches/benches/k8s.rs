//! A read from Kubernetes beside the bare call of `kube`, on a server in this process: `cargo bench -p cred-benches --bench k8s`.
#![allow(clippy::print_stdout, reason = "says how quick the server is")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panic says what it must")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cred_benches::ratio::{compare, head};
use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, StorageProvider as _,
    Timestamp,
};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::digest;
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use k8s_openapi::api::core::v1::Secret;
use tokio::runtime::Runtime;

const READS: u32 = 50;

fn main() {
    let server = serve(answer());
    println!(
        "The server answers in {:?}, connection and all else of a client apart.\n",
        bare_round_trip(server)
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ours = provider(server, folder.path());
    let bare = runtime.block_on(async { bare(server) });
    head();
    compare(
        "provider get / kube Api::get, loopback",
        1.15,
        400,
        || timed(&runtime, async || drop(black_box(ours.read().await))),
        || timed(&runtime, async || drop(black_box(bare.get("nebula-cred-key").await.unwrap()))),
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
    provider: KubernetesSecretsProvider,
    id: CredentialId,
    ctx: CredentialContext,
}

impl Ours {
    async fn read(&self) -> cred_core::Stored {
        self.provider.retrieve(&self.id, &self.ctx).await.unwrap()
    }
}

/// With a token, as both sides send one.
fn provider(server: SocketAddr, folder: &std::path::Path) -> Ours {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n- {{name: x, cluster: {{server: \"http://{server}\"}}}}\n\
         users:\n- {{name: x, user: {{token: token}}}}\ncontexts:\n- {{name: x, context: {{cluster: x, user: x}}}}\n"
    );
    std::fs::write(&path, text).unwrap();
    let config = KubernetesSecretsConfig::default().with_kubeconfig_path(path);
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    Ours { provider, id: "key".parse().unwrap(), ctx: CredentialContext::unscoped() }
}

/// As kube makes it, retries apart.
fn bare(server: SocketAddr) -> kube::Api<Secret> {
    let mut config = kube::Config::new(format!("http://{server}").parse().unwrap());
    config.auth_info.token = Some("token".into());
    config.default_retry = false;
    kube::Api::namespaced(kube::Client::try_from(config).unwrap(), "default")
}

/// What the API server answers to a read of a credential of 1 KiB.
fn answer() -> Vec<u8> {
    let key_id: KeyId = "main".parse().unwrap();
    let data = EncryptedData::new(key_id, [1; 32], [2; 32], [3; 12], vec![4; 1_024], [5; 16]);
    let envelope = CredentialFile::new(data, CredentialMetadata::new(Timestamp::now())).encode().unwrap();
    let envelope = BASE64_STANDARD.encode(envelope);
    let store = digest("nebula-cred-");
    let body = format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"nebula-cred-key","namespace":"default","uid":"1e2d3c4b-0000-0000-0000-000000000000","resourceVersion":"12345","creationTimestamp":"2026-01-01T00:00:00Z","labels":{{"app.kubernetes.io/component":"credential-storage","app.kubernetes.io/name":"nebula-credential","cred-rs.github.io/store":"{store}"}},"annotations":{{"cred-rs.github.io/metadata":"{{\"created_at\":1767225600000,\"last_modified\":1767225600000,\"version\":1}}","cred-rs.github.io/path":"key"}},"managedFields":[{{"manager":"cred-store-k8s","operation":"Update","apiVersion":"v1","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:data":{{".":{{}},"f:envelope":{{}}}},"f:metadata":{{"f:annotations":{{".":{{}},"f:cred-rs.github.io/metadata":{{}},"f:cred-rs.github.io/path":{{}}}},"f:labels":{{".":{{}},"f:app.kubernetes.io/component":{{}},"f:app.kubernetes.io/name":{{}},"f:cred-rs.github.io/store":{{}}}}}},"f:type":{{}}}}}}]}},"data":{{"envelope":"{envelope}"}},"type":"Opaque"}}"#
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Answers every request alike, a thread for each connection. It ends with the process.
fn serve(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut request = [0; 8 * 1_024];
                // A request without a body comes in one piece on loopback.
                while stream.read(&mut request).is_ok_and(|count| count > 0) {
                    if stream.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn bare_round_trip(server: SocketAddr) -> Duration {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    let length = answer().len();
    let mut taken = vec![0; length];
    let begun = Instant::now();
    for _ in 0..1_000 {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        stream.read_exact(&mut taken).unwrap();
    }
    begun.elapsed() / 1_000
}
