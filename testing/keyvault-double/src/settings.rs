//! Settings of a double.

use std::time::Duration;

/// The settings of a double. They cannot change after the start.
#[derive(Clone)]
pub struct Settings {
    /// Port on loopback; default 0: a free port.
    pub port: u16,
    /// More host names for the certificate, in addition to `localhost` and `127.0.0.1`.
    pub hosts: Vec<String>,
    /// The only tenant, a GUID.
    pub tenant_id: String,
    /// The only client, a GUID.
    pub client_id: String,
    /// The secret of the client.
    pub client_secret: String,
    /// The value of `X-IDENTITY-HEADER` that a request for a token of the managed identity needs.
    pub identity_header: String,
    /// Lifetime of a token; default one hour.
    pub token_lifetime: Duration,
    /// Duration of a deletion; default zero.
    pub deletion: Duration,
    /// Duration of a recovery; default zero. Reads find the secret after half of it, writes only at
    /// the end.
    pub recovery: Duration,
    /// How long a name is blocked after a purge; default zero.
    pub purge: Duration,
    /// Whether purge protection is on; default false.
    pub purge_protection: bool,
    /// The kind of certificate; default a valid one.
    pub certificate: Certificate,
}

/// A kind of server certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificate {
    /// Valid for `localhost`, `127.0.0.1` and [`hosts`](Settings::hosts).
    #[default]
    Good,
    /// For the same hosts, but expired in 2001.
    Expired,
    /// Only for `elsewhere.example`.
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

/// Does not print the client secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("port", &self.port).finish_non_exhaustive()
    }
}
