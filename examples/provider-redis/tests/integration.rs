//! The contract of a storage provider, clause by clause, on a real Redis behind a proxy that an
//! outage closes and a stall stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cred_conformance::{Edit, Effort, Harness, Subject};
use cred_core::{CredentialPath, ExposeSecret, SecretString, async_trait};
use provider_redis::{RedisConfig, RedisProvider};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One prefix of a Redis that all tests share.
struct Fresh {
    config: RedisConfig,
    server: String,
    door: watch::Sender<Door>,
}

#[derive(Clone, Copy, PartialEq)]
enum Door {
    Open,
    /// Connections end, and new ones are closed at once.
    Shut,
    /// No bytes pass. Waiting connections are closed at the end, so that none of their requests
    /// arrives late.
    Held,
}

impl Fresh {
    async fn start() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let server = variable("CRED_TEST_REDIS_ADDR");
        let (door, listener) =
            (watch::Sender::new(Door::Open), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let config = RedisConfig {
            address: listener.local_addr().unwrap().to_string(),
            password: Some(SecretString::from(variable("CRED_TEST_REDIS_PASSWORD"))),
            prefix: format!("test-{}-{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
            operation_timeout: Duration::from_secs(5),
            max_payload_len: 64 * 1_024,
            ..RedisConfig::default()
        };
        tokio::spawn(keep_door(listener, server.parse().unwrap(), door.subscribe()));
        Self { config, server, door }
    }
}

async fn keep_door(listener: TcpListener, server: SocketAddr, door: watch::Receiver<Door>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut door = door.clone();
        tokio::spawn(async move {
            let pass = async {
                let mut server = TcpStream::connect(server).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            };
            tokio::select! { biased; _ = door.wait_for(|door| *door != Door::Open) => {}, _ = pass => {} }
            let _ = door.wait_for(|door| *door != Door::Held).await;
        });
    }
}

#[async_trait]
impl Harness for Fresh {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(RedisProvider::new(self.config.clone()).unwrap())
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.open().await)
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        let password = self.config.password.as_ref().unwrap().expose_secret();
        let redis = redis::Client::open(format!("redis://:{password}@{}/", self.server)).unwrap();
        let mut redis = redis.get_multiplexed_async_connection().await.unwrap();
        let key = format!("{}{path}", self.config.prefix);
        let old: Option<Vec<u8>> =
            redis::cmd("HGET").arg(&key).arg("envelope").query_async(&mut redis).await.unwrap();
        let Some(old) = old else { return false };
        let new = edit(old);
        let _: u64 =
            redis::cmd("HSET").arg(&key).arg("envelope").arg(new).query_async(&mut redis).await.unwrap();
        true
    }

    async fn outage(&self, down: bool) -> bool {
        self.door.send_replace(if down { Door::Shut } else { Door::Open });
        true
    }

    async fn stall(&self, held: bool) -> bool {
        self.door.send_replace(if held { Door::Held } else { Door::Open });
        true
    }

    fn backend_secrets(&self) -> Vec<String> {
        self.config.password.iter().map(|password| password.expose_secret().to_owned()).collect()
    }

    fn physical_name(&self, path: &CredentialPath) -> Option<String> {
        Some(format!("{}{path}", self.config.prefix))
    }

    fn effort(&self) -> Effort {
        Effort::default().with_rounds(30)
    }
}

cred_conformance::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration redis"]
    Fresh::start().await,
    offers: [compare_and_set, metrics, payload_limit, reopen, raw_edit, outage, stall, backend_secrets]
);
