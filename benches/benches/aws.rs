//! A read from Secrets Manager beside the bare call of AWS's SDK, on a server in this process: `cargo bench -p cred-benches
//! --bench aws`.
#![allow(clippy::print_stdout, reason = "says how quick the server is")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panic says what it must")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use cred_benches::ratio::{compare, head};
use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, StorageProvider as _,
    Timestamp,
};
use cred_provider_kit::CredentialFile;
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use tokio::runtime::Runtime;

const READS: u32 = 50;

fn main() {
    let server = serve(answer());
    println!(
        "The server answers in {:?}, connection and all else of a client apart.\n",
        bare_round_trip(server)
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ours = provider(server);
    let bare = client(server);
    head();
    compare(
        "provider get / AWS's get_secret_value, loopback",
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
    provider: AwsSecretsManagerProvider,
    id: CredentialId,
    ctx: CredentialContext,
}

impl Ours {
    async fn read(&self) -> cred_core::Stored {
        self.provider.retrieve(&self.id, &self.ctx).await.unwrap()
    }
}

fn provider(server: SocketAddr) -> Ours {
    let config = AwsSecretsManagerConfig::default();
    let provider = AwsSecretsManagerProvider::with_client(config, client(server)).unwrap();
    Ours { provider, id: "key".parse().unwrap(), ctx: CredentialContext::unscoped() }
}

/// With one timeout for the attempt, and no retries, as the provider has.
fn client(server: SocketAddr) -> Client {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).build();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .endpoint_url(format!("http://{server}"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "benches"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    Client::from_conf(config.build())
}

async fn read_bare(client: &Client) -> String {
    let secret = client.get_secret_value().secret_id("nebula/credentials/key").send().await.unwrap();
    secret.secret_string.unwrap()
}

/// What AWS answers to a read of a credential of 1 KiB.
fn answer() -> Vec<u8> {
    let key_id: KeyId = "main".parse().unwrap();
    let data = EncryptedData::new(key_id, [1; 32], [2; 32], [3; 12], vec![4; 1_024], [5; 16]);
    let envelope = CredentialFile::new(data, CredentialMetadata::new(Timestamp::now())).encode().unwrap();
    let envelope = String::from_utf8(envelope).unwrap().replace('"', "\\\"");
    let body = format!(
        r#"{{"ARN":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:nebula/credentials/key-a1b2c3","CreatedDate":1767225600.123,"Name":"nebula/credentials/key","SecretString":"{envelope}","VersionId":"5048ecb0c84ec77dd0c9dc96ab55a4d5","VersionStages":["AWSCURRENT"]}}"#
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n",
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
                let (mut request, mut piece) = (Vec::new(), [0; 8 * 1_024]);
                while let Ok(count @ 1..) = stream.read(&mut piece) {
                    request.extend_from_slice(piece.get(..count).unwrap());
                    // It ends with its body, one JSON object, which may come in a piece of its own.
                    if request.ends_with(b"}") {
                        request.clear();
                        if stream.write_all(&answer).is_err() {
                            return;
                        }
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
    let mut taken = vec![0; answer().len()];
    let begun = Instant::now();
    for _ in 0..1_000 {
        stream.write_all(b"POST / HTTP/1.1\r\n\r\n{}").unwrap();
        stream.read_exact(&mut taken).unwrap();
    }
    begun.elapsed() / 1_000
}
