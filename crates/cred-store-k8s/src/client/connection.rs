//! The way to the API server: connections and credentials, or the caller's own client.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{ExposeSecret, SecretString, StorageError, StorageErrorKind, StorageResult};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{AuthError, Body, ConfigExt};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::sync::OnceCell;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use super::access::Access;
use super::answer::Answer;
use crate::auth::TokenFile;
use crate::error::broken;

/// kube's layers over a pool of connections.
type Stack = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

pub(super) struct Connection {
    way: Way,
    token_file: Option<TokenFile>,
    /// Secrets that go into every request.
    fixed: Vec<SecretString>,
}

enum Way {
    Ours {
        stack: OnceCell<Stack>,
        /// Where the stack is made by the first use: a program has to be run for it, which takes
        /// its time.
        unmade: Option<Box<Config>>,
        connect_timeout: Duration,
        /// Host and port, for errors.
        address: Option<Arc<str>>,
    },
    Given(kube::Client),
}

impl Connection {
    pub(super) fn new(access: Access, connect_timeout: Duration) -> Result<Self, &'static str> {
        let mut config = access.into_config();
        let address = host_and_port(&config.cluster_url);
        let auth = &mut config.auth_info;
        // A token in the kubeconfig goes before one in a file, as kube has it.
        let token_file = auth.token_file.take().filter(|_| auth.token.is_none());
        let fixed = auth.token.iter().chain(&auth.password).cloned().collect();
        let runs_a_program = auth.exec.is_some() || auth.auth_provider.is_some();
        let (stack, unmade) = match runs_a_program {
            true => (OnceCell::new(), Some(Box::new(config))),
            false => {
                let stack = stack(&config, connect_timeout).map_err(|_| {
                    "names a certificate, key or token that cannot be used, or the system has no authorities for the \
                     cluster's certificate"
                })?;
                (OnceCell::from(stack), None)
            }
        };
        let token_file = token_file.map(|path| TokenFile::new(path.into()));
        Ok(Self { way: Way::Ours { stack, unmade, connect_timeout, address }, token_file, fixed })
    }

    pub(super) fn given(client: kube::Client) -> Self {
        Self { way: Way::Given(client), token_file: None, fixed: Vec::new() }
    }

    /// Where the token of each request is; `None`: the way itself adds what is needed.
    pub(super) fn token_file(&self) -> Option<&TokenFile> {
        self.token_file.as_ref()
    }

    /// What no error may repeat.
    pub(super) fn hidden(&self) -> Vec<&str> {
        self.fixed.iter().map(ExposeSecret::expose_secret).collect()
    }

    /// Sends a request and reads the answer, up to `longest` bytes of it.
    pub(super) async fn send(&self, request: Request<Body>, longest: usize) -> StorageResult<Answer> {
        match &self.way {
            Way::Given(client) => match client.send(request).await {
                Ok(response) => Answer::of(response, None, longest).await,
                Err(error) => Err(broken(&error, None)),
            },
            Way::Ours { stack, unmade, connect_timeout, address } => {
                let stack =
                    stack.get_or_try_init(|| made(unmade.as_deref(), *connect_timeout)).await?.clone();
                match stack.oneshot(request).await {
                    Ok(response) => Answer::of(response, address.clone(), longest).await,
                    Err(error) => Err(broken(&*error, address.as_deref())),
                }
            }
        }
    }
}

fn host_and_port(url: &Uri) -> Option<Arc<str>> {
    let default = if url.scheme_str() == Some("http") { 80 } else { 443 };
    Some(format!("{}:{}", url.host()?, url.port_u16().unwrap_or(default)).into())
}

/// Runs the program that gives the credentials, aside.
async fn made(config: Option<&Config>, connect_timeout: Duration) -> StorageResult<Stack> {
    let failed = || {
        StorageError::from(StorageErrorKind::AuthenticationFailed {
            reason:
                "the program of the kubeconfig gave no usable credentials; run `kubectl` with it to see why"
                    .into(),
        })
    };
    let config = config.cloned().ok_or_else(failed)?;
    let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let made = tokio::task::spawn_blocking(move || stack(&config, connect_timeout)).await;
    match (made.map_err(|_| failed())?, program) {
        (Ok(stack), _) => Ok(stack),
        (Err(kube::Error::Auth(AuthError::AuthExecStart(error))), Some(program)) => {
            let reason = format!(
                "the program `{program}` of the kubeconfig could not be started ({}); install it, or correct the \
                 `command` of the user's `exec`",
                error.kind()
            );
            Err(StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into())
        }
        (Err(_), _) => Err(failed()),
    }
}

fn stack(config: &Config, connect_timeout: Duration) -> Result<Stack, kube::Error> {
    // rustls panics where two providers are in the program and none was chosen; kube chooses this
    // one too.
    if CryptoProvider::get_default().is_none() {
        // Somebody else may be quicker, and is as right.
        let _ = aws_lc_rs::default_provider().install_default();
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_timeout));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let http: Http<_, Body> = Http::builder(TokioExecutor::new()).build(connector);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(http.map_err(BoxError::from));
    Ok(BoxCloneSyncService::new(stack))
}
