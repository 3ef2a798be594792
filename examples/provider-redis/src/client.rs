//! The requests, over one shared connection.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cred_core::{ConfigError, ExposeSecret, ProviderConfig, StorageResult};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError,
};

use crate::{RedisConfig, error};

/// Keys that one step of a scan looks at.
const SCANNED: usize = 1_000;

/// Writes only where `ARGV[1]` is stored, nothing being `''`. Finding its own revision `ARGV[2]`,
/// an earlier attempt has written.
const STORE_IF: &str = "\
    local stored = redis.call('HGET', KEYS[1], 'revision') or '' \
    if stored ~= ARGV[2] then \
        if stored ~= ARGV[1] then return 0 end \
        redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'envelope', ARGV[3]) \
    end return 1";

pub(crate) struct Client {
    redis: redis::Client,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Client {
    /// Touches no network.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = &config.password {
            login = login.set_password(password.expose_secret());
        }
        let wrong = |_| ConfigError::invalid(config.provider_name(), "address", "must be HOST:PORT");
        let address = format!("redis://{}", config.address).into_connection_info().map_err(wrong)?;
        let redis = redis::Client::open(address.set_redis_settings(login)).map_err(wrong)?;
        Ok(Self { redis, open: Mutex::default() })
    }

    pub(crate) async fn set(&self, key: &str, envelope: &[u8], revision: &str) -> StorageResult<()> {
        let fields = &[("revision", revision.as_bytes()), ("envelope", envelope)];
        self.ask::<u64>(redis::cmd("HSET").arg(key).arg(fields)).await.map(drop)
    }

    /// Whether what is stored was `expected`, or is this very write.
    pub(crate) async fn set_if(
        &self,
        key: &str,
        envelope: &[u8],
        revision: &str,
        expected: &str,
    ) -> StorageResult<bool> {
        let mut script = redis::cmd("EVAL");
        self.ask(script.arg(STORE_IF).arg(1).arg(key).arg(expected).arg(revision).arg(envelope)).await
    }

    /// The envelope and its revision, of one moment.
    pub(crate) async fn get(&self, key: &str) -> StorageResult<(Option<Vec<u8>>, Option<String>)> {
        self.ask(redis::cmd("HMGET").arg(key).arg(&["envelope", "revision"])).await
    }

    /// The envelopes of several keys, in one request.
    pub(crate) async fn get_each(&self, keys: &[String]) -> StorageResult<Vec<Option<Vec<u8>>>> {
        let mut gets = Pipeline::with_capacity(keys.len());
        for key in keys {
            gets.cmd("HGET").arg(key).arg("envelope");
        }
        let mut lent = self.lend().await?;
        let answer = gets.query_async(&mut lent.connection).await;
        lent.back(answer)
    }

    pub(crate) async fn exists(&self, key: &str) -> StorageResult<bool> {
        self.ask(redis::cmd("EXISTS").arg(key)).await
    }

    pub(crate) async fn delete(&self, key: &str) -> StorageResult<()> {
        self.ask::<u64>(redis::cmd("DEL").arg(key)).await.map(drop)
    }

    /// One step of a scan from `cursor`: the next cursor, 0 at the end, and keys that begin with
    /// `prefix`. A key that exists during the whole scan is returned, perhaps more than once.
    pub(crate) async fn scan(&self, cursor: u64, prefix: &str) -> StorageResult<(u64, Vec<Vec<u8>>)> {
        let mut scan = redis::cmd("SCAN");
        self.ask(scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(SCANNED)).await
    }

    /// The next operation opens another connection.
    pub(crate) fn close(&self) {
        self.open().take();
    }

    async fn ask<T: FromRedisValue>(&self, request: &Cmd) -> StorageResult<T> {
        let mut lent = self.lend().await?;
        let answer = request.query_async(&mut lent.connection).await;
        lent.back(answer)
    }

    /// Two that connect at once make two connections, of which one is kept. No timeout but the
    /// executor's counts.
    async fn lend(&self) -> StorageResult<Lent<'_>> {
        let open = self.open().clone();
        let connection = match open {
            Some(connection) => connection,
            None => {
                let patient =
                    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
                let opened = self.redis.get_multiplexed_async_connection_with_config(&patient).await;
                let opened = opened.map_err(|error| error::connecting(&error))?;
                self.open().insert(opened).clone()
            }
        };
        Ok(Lent { client: self, connection, sound: false })
    }

    fn open(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection during one request. A connection without an answer, for example because the
/// executor cancelled the attempt, is not used again.
struct Lent<'c> {
    client: &'c Client,
    connection: MultiplexedConnection,
    sound: bool,
}

impl Lent<'_> {
    fn back<T>(mut self, answer: Result<T, RedisError>) -> StorageResult<T> {
        self.sound = answer.as_ref().err().is_none_or(|error| !error.is_unrecoverable_error());
        answer.map_err(|error| error::answered(&error))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.sound {
            self.client.close();
        }
    }
}
