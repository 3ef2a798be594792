//! The settings.

use std::time::Duration;

use cred_core::{ConfigError, ProviderConfig, SecretString};
use cred_provider_kit::naming::{Case, Names, Rules};

/// How a [`RedisProvider`](crate::RedisProvider) reaches its server. Its `Debug` does not print the
/// password.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// `HOST:PORT`. Default: `127.0.0.1:6379`.
    pub address: String,
    /// `None`, the default: the server requires no password.
    pub password: Option<SecretString>,
    /// The beginning of every key, of `A-Z a-z 0-9 : . _ / - %`. Default: `cred:`.
    pub prefix: String,
    /// For one request, doubled for writes. Default: 1 s.
    pub timeout: Duration,
    /// For one operation, all its requests and waits together; at least `timeout`. Default: 10 s.
    pub operation_timeout: Duration,
    /// Bytes of an envelope. Default: 1 MiB; Redis itself takes 512.
    pub max_payload_len: usize,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:6379".into(),
            password: None,
            prefix: "cred:".into(),
            timeout: Duration::from_secs(1),
            operation_timeout: Duration::from_secs(10),
            max_payload_len: 1_024 * 1_024,
        }
    }
}

impl RedisConfig {
    /// A key is any bytes and case counts: a path is its own name, and it has no
    /// special character of a SCAN pattern.
    pub(crate) fn names(&self) -> Result<Names, ConfigError> {
        let rules = Rules::custom(self.provider_name(), Case::Kept, "_-.:/", '%')?;
        Names::new(rules, "prefix", self.prefix.as_str())
    }
}

impl ProviderConfig for RedisConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |field, problem| Err(ConfigError::invalid(self.provider_name(), field, problem));
        if self.timeout.is_zero() || self.operation_timeout < self.timeout {
            return wrong("operation_timeout", "is shorter than `timeout`, or both are zero; give it more");
        }
        if self.max_payload_len == 0 {
            return wrong("max_payload_len", "is 0, so no value would fit; set at least one byte");
        }
        self.names().map(drop)
    }

    fn provider_name(&self) -> &'static str {
        "redis"
    }
}
