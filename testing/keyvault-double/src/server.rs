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

/// The longest body that is read: more than any good one.
const LONGEST: usize = 1_024 * 1_024;

/// A double that runs until it is dropped, with its connections.
///
/// Its own paths, for tests that need a double: `GET /double/health`; `POST /double/revoke-tokens`,
/// as [`Double::revoke_tokens`]; `POST /double/refuse?status=429&retry-after=1&times=2`, as
/// [`Double::throttle`], or with 503 as [`Double::be_unavailable`]. None of them needs a token.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    authority: String,
    vault: Arc<Vault>,
    task: JoinSet<()>,
}

/// What the server serves.
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
    /// Starts one on loopback.
    ///
    /// # Errors
    /// Where the port is taken, or a host is none.
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address, of the vault and of the token endpoint alike, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority that its certificate is signed by, as PEM.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }

    /// How it behaves.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.vault.settings
    }

    /// How often it was asked.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.vault.control.counts()
    }

    /// Revokes all tokens that it gave: they are answered with 401 from now on.
    pub fn revoke_tokens(&self) {
        self.vault.tokens.revoke();
    }

    /// Answers the next `times` requests to the vault with 429, and with this many seconds to wait.
    pub fn throttle(&self, retry_after: Option<u64>, times: usize) {
        self.vault.control.refuse(&Refusal::throttled(retry_after), times);
    }

    /// Answers the next `times` requests to the vault with 503.
    pub fn be_unavailable(&self, times: usize) {
        self.vault.control.refuse(&Refusal::unavailable(), times);
    }

    /// Waits until the server ends, which it does not by itself.
    pub async fn ended(&mut self) {
        self.task.join_next().await;
    }
}

impl Vault {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes connections. They end with this task.
async fn serve(listener: TcpListener, tls: TlsAcceptor, vault: Arc<Vault>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, tls.clone(), Arc::clone(&vault)))),
                // Out of files, as a rule: others will be closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, vault: Arc<Vault>) {
    let _ = stream.set_nodelay(true);
    // A connection that fails by itself has failed for the client, who sees it.
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
    let answer = match Limited::new(body, LONGEST).collect().await {
        Ok(body) => vault.answer(&Request {
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
    let (status, body) = match answer {
        Ok(answer) => answer,
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
