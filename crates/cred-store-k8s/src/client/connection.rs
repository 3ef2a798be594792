//! The transport to the API server: connections and credentials, or the caller's client.

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

use super::access::ClusterAccess;
use super::answer::ApiResponse;
use crate::auth::TokenFile;
use crate::error::connection_error;

/// kube's layers over a pool of connections.
type Stack = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

pub(super) struct Connection {
    transport: Transport,
    token_file: Option<TokenFile>,
    /// Secrets that are sent with every request.
    static_secrets: Vec<SecretString>,
}

enum Transport {
    Own {
        stack: OnceCell<Stack>,
        /// The configuration of a stack that the first use builds, because that runs a program and
        /// takes time.
        deferred: Option<Box<Config>>,
        connect_timeout: Duration,
        /// Host and port, for errors.
        address: Option<Arc<str>>,
    },
    Caller(kube::Client),
}

impl Connection {
    pub(super) fn new(access: ClusterAccess, connect_timeout: Duration) -> Result<Self, &'static str> {
        let mut config = access.into_config();
        let address = host_and_port(&config.cluster_url);
        let auth = &mut config.auth_info;
        // A token in the kubeconfig takes precedence over one in a file, as in kube.
        let token_file = auth.token_file.take().filter(|_| auth.token.is_none());
        let static_secrets = auth.token.iter().chain(&auth.password).cloned().collect();
        let runs_a_program = auth.exec.is_some() || auth.auth_provider.is_some();
        let (stack, deferred) = match runs_a_program {
            true => (OnceCell::new(), Some(Box::new(config))),
            false => {
                let stack = stack(&config, connect_timeout).map_err(|_| {
                    "names a certificate, key or token that cannot be used, or the system has no authorities to verify the \
                     cluster's certificate; correct the kubeconfig"
                })?;
                (OnceCell::from(stack), None)
            }
        };
        let token_file = token_file.map(|path| TokenFile::new(path.into()));
        Ok(Self {
            transport: Transport::Own { stack, deferred, connect_timeout, address },
            token_file,
            static_secrets,
        })
    }

    pub(super) fn from_client(client: kube::Client) -> Self {
        Self { transport: Transport::Caller(client), token_file: None, static_secrets: Vec::new() }
    }

    /// The file with the token of each request; `None`: the transport adds the credentials.
    pub(super) fn token_file(&self) -> Option<&TokenFile> {
        self.token_file.as_ref()
    }

    /// The secrets that no error may repeat.
    pub(super) fn secrets(&self) -> Vec<&str> {
        self.static_secrets.iter().map(ExposeSecret::expose_secret).collect()
    }

    /// Sends a request and reads the response, up to `max_len` bytes of its body.
    pub(super) async fn send(&self, request: Request<Body>, max_len: usize) -> StorageResult<ApiResponse> {
        match &self.transport {
            Transport::Caller(client) => match client.send(request).await {
                Ok(response) => ApiResponse::of(response, None, max_len).await,
                Err(error) => Err(connection_error(&error, None)),
            },
            Transport::Own { stack, deferred, connect_timeout, address } => {
                let stack = stack
                    .get_or_try_init(|| build_deferred(deferred.as_deref(), *connect_timeout))
                    .await?
                    .clone();
                match stack.oneshot(request).await {
                    Ok(response) => ApiResponse::of(response, address.clone(), max_len).await,
                    Err(error) => Err(connection_error(&*error, address.as_deref())),
                }
            }
        }
    }
}

fn host_and_port(url: &Uri) -> Option<Arc<str>> {
    let default = if url.scheme_str() == Some("http") { 80 } else { 443 };
    Some(format!("{}:{}", url.host()?, url.port_u16().unwrap_or(default)).into())
}

/// Builds the stack on the blocking pool, which runs the credential program.
async fn build_deferred(config: Option<&Config>, connect_timeout: Duration) -> StorageResult<Stack> {
    let failed = || {
        StorageError::from(StorageErrorKind::AuthenticationFailed {
            reason:
                "the program in the kubeconfig returned no usable credentials; run `kubectl` with this kubeconfig to see why"
                    .into(),
        })
    };
    let config = config.cloned().ok_or_else(failed)?;
    let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    let built = tokio::task::spawn_blocking(move || stack(&config, connect_timeout)).await;
    match (built.map_err(|_| failed())?, program) {
        (Ok(stack), _) => Ok(stack),
        (Err(kube::Error::Auth(AuthError::AuthExecStart(error))), Some(program)) => {
            let reason = format!(
                "the program `{program}` in the kubeconfig could not be started ({}); install it, or correct the \
                 `command` of the user's `exec`",
                error.kind()
            );
            Err(StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into())
        }
        (Err(_), _) => Err(failed()),
    }
}

fn stack(config: &Config, connect_timeout: Duration) -> Result<Stack, kube::Error> {
    // rustls panics if the program contains two crypto providers and none was selected. kube
    // selects this one too.
    if CryptoProvider::get_default().is_none() {
        // Another thread may have installed one first, which is as good.
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
