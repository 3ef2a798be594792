//! How a double behaves.

use std::time::Duration;

/// How a double behaves. Fixed at its start.
#[derive(Clone)]
pub struct Settings {
    /// Where it listens on loopback; default 0: a port that is free.
    pub port: u16,
    /// Further names in its certificate, besides `localhost` and `127.0.0.1`.
    pub hosts: Vec<String>,
    /// The one tenant, as a GUID.
    pub tenant_id: String,
    /// The one client, as a GUID.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// What a program sends as `X-IDENTITY-HEADER` to be given a token of the machine.
    pub identity_header: String,
    /// How long a token lasts; default an hour.
    pub token_lifetime: Duration,
    /// How long a deletion takes; default nothing.
    pub deletion: Duration,
    /// How long a recovery takes; default nothing. Reads find the secret after half of it, writes
    /// have to wait for the end.
    pub recovery: Duration,
    /// How long a name is blocked after a purge; default nothing.
    pub purge: Duration,
    /// Whether purging is forbidden; default false.
    pub purge_protection: bool,
    /// What is wrong with its certificate; default nothing.
    pub certificate: Certificate,
}

/// A server's certificate, as clients must judge it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// One for `localhost`, `127.0.0.1` and the further names.
    #[default]
    Good,
    /// One for them that has ended in the year 2001.
    Expired,
    /// One for `elsewhere.example` alone.
    OfAnotherHost,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            hosts: Vec::new(),
            tenant_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            client_id: "66666666-7777-8888-9999-000000000000".to_owned(),
            client_secret: "the-secret-of-a-double".to_owned(),
            identity_header: "the-identity-header-of-a-double".to_owned(),
            token_lifetime: Duration::from_secs(3_600),
            deletion: Duration::ZERO,
            recovery: Duration::ZERO,
            purge: Duration::ZERO,
            purge_protection: false,
            certificate: Certificate::Good,
        }
    }
}

/// The client secret is nobody's business, though it is a double's.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("port", &self.port).finish_non_exhaustive()
    }
}
