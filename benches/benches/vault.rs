//! A read from Vault beside the bare call of `vaultrs`, on a server in this process: `cargo bench -p cred-benches --bench
//! vault`.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panic says what it must")]
#![allow(clippy::print_stdout, reason = "says how quick the server is")]

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use cred_benches::ratio::{compare, head};
use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, StorageProvider as _,
    Timestamp,
};
use cred_provider_kit::CredentialFile;
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use tokio::runtime::Runtime;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

const READS: u32 = 50;

fn main() {
    let server = serve(answer());
    println!(
        "The server answers in {:?}, connection and all else of a client apart.\n",
        bare_round_trip(server)
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let address = format!("http://{server}");
    let ours = provider(&address);
    let bare = bare(&address);
    head();
    compare(
        "provider get / vaultrs kv2::read, loopback",
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
    provider: HashiCorpVaultProvider,
    id: CredentialId,
    ctx: CredentialContext,
}

impl Ours {
    async fn read(&self) -> cred_core::Stored {
        self.provider.retrieve(&self.id, &self.ctx).await.unwrap()
    }
}

fn provider(address: &str) -> Ours {
    let config =
        VaultConfig::default().with_address(address).with_auth_method(VaultAuthMethod::token("token".into()));
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    Ours { provider, id: "key".parse().unwrap(), ctx: CredentialContext::unscoped() }
}

fn bare(address: &str) -> VaultClient {
    let settings = VaultClientSettingsBuilder::default()
        .address(address)
        .token("token")
        .verify(true)
        .timeout(Some(Duration::from_secs(5)))
        .build();
    VaultClient::new(settings.unwrap()).unwrap()
}

async fn read_bare(client: &VaultClient) -> HashMap<String, String> {
    vaultrs::kv2::read(client, "secret", "nebula/credentials/key").await.unwrap()
}

/// What Vault answers to a read of a credential of 1 KiB.
fn answer() -> Vec<u8> {
    let key_id: KeyId = "main".parse().unwrap();
    let data = EncryptedData::new(key_id, [1; 32], [2; 32], [3; 12], vec![4; 1_024], [5; 16]);
    let envelope = CredentialFile::new(data, CredentialMetadata::new(Timestamp::now())).encode().unwrap();
    let envelope = String::from_utf8(envelope).unwrap().replace('"', "\\\"");
    let body = format!(
        r#"{{"request_id":"1e2d3c4b-0000-0000-0000-000000000000","lease_id":"","renewable":false,"lease_duration":0,"data":{{"data":{{"envelope":"{envelope}"}},"metadata":{{"created_time":"2026-01-01T00:00:00.123456789Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}}},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}}"#
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
