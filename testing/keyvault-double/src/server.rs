//! The server: TLS, HTTP, and the vault behind them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::control::Control;
use crate::refusal::Refusal;
use crate::routes::Request;
use crate::store::Store;
use crate::tokens::Tokens;
use crate::{Counts, Settings, certificate};

/// Maximum size of a request body in bytes: more than any valid one.
const MAX_BODY_LEN: usize = 1_024 * 1_024;

/// A running double. Dropping it stops the server and closes its connections.
///
/// These paths control the double. They need no token:
///
/// - `GET /double/health`
/// - `POST /double/revoke-tokens`, like [`Double::revoke_tokens`]
/// - `POST /double/refuse?status=429&retry-after=1&times=2`, like [`Double::throttle`], or with 503
///   like [`Double::be_unavailable`]
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    authority: String,
    vault: Arc<Vault>,
    task: JoinSet<()>,
}

/// The state of the double, which answers requests.
pub(crate) struct Vault {
    pub(crate) settings: Settings,
    pub(crate) tokens: Tokens,
    pub(crate) control: Control,
    store: Mutex<Store>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Double {
    /// Starts a double on loopback.
    ///
    /// # Errors
    /// The port is in use, or a host is invalid.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        hosts.extend(settings.hosts.iter().cloned());
        let (tls, authority) = certificate::make(settings.certificate, hosts)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let address = listener.local_addr()?;
        let vault = Arc::new(Vault {
            settings,
            tokens: Tokens::new()?,
            control: Control::default(),
            store: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, TlsAcceptor::from(tls), Arc::clone(&vault)));
        Ok(Self { address, authority, vault, task })
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of both the vault and the token endpoint, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns the authority that signed the certificate, as PEM.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.vault.settings
    }

    /// Returns the number of requests so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.vault.control.counts()
    }

    /// Revokes all tokens issued so far: requests with them receive 401 from now on.
    pub fn revoke_tokens(&self) {
        self.vault.tokens.revoke();
    }

    /// Answers the next `times` requests to the vault with 429 and this `Retry-After` in seconds.
    pub fn throttle(&self, retry_after: Option<u64>, times: usize) {
        self.vault.control.refuse(&Refusal::throttled(retry_after), times);
    }

    /// Answers the next `times` requests to the vault with 503.
    pub fn be_unavailable(&self, times: usize) {
        self.vault.control.refuse(&Refusal::unavailable(), times);
    }

    /// Waits until the server stops, which normally does not happen.
    pub async fn ended(&mut self) {
        self.task.join_next().await;
    }
}

impl Vault {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections. They end with this task.
async fn serve(listener: TcpListener, tls: TlsAcceptor, vault: Arc<Vault>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve_connection(stream, tls.clone(), Arc::clone(&vault)))),
                // Usually too many open files: waits until other connections are closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, tls: TlsAcceptor, vault: Arc<Vault>) {
    let _ = stream.set_nodelay(true);
    // The client reports a failed connection.
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(|request| {
        let vault = Arc::clone(&vault);
        async move { respond(&vault, request).await }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    vault: &Vault,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, hyper::http::Error> {
    let (parts, body) = request.into_parts();
    let header =
        |name| parts.headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    let result = match Limited::new(body, MAX_BODY_LEN).collect().await {
        Ok(body) => vault.respond_to(&Request {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            host: header(HOST).unwrap_or("localhost").to_owned(),
            authorization: header(AUTHORIZATION).map(str::to_owned),
            identity_header: header(HeaderName::from_static("x-identity-header")).map(str::to_owned),
            body: body.to_bytes().to_vec(),
        }),
        Err(_) => Err(Refusal::new(413, "BadParameter", "The request body is too long")),
    };
    let mut response = hyper::Response::builder().header(CONTENT_TYPE, "application/json; charset=utf-8");
    let (status, body) = match result {
        Ok(result) => result,
        Err(refusal) => {
            for (name, value) in &refusal.headers {
                response = response.header(*name, value);
            }
            (refusal.status, refusal.body)
        }
    };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    response.status(status).body(Full::new(Bytes::from(body)))
}
