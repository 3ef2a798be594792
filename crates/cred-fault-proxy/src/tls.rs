//! Decrypts and encrypts a TLS connection again, so that a [`Proxy`](crate::Proxy) in between can
//! count and break plain HTTP requests.
//!
//! ```text
//! provider --TLS--> TlsEntry --plain--> Proxy --plain--> TlsExit --TLS--> server
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Accepts TLS connections with a certificate from its own CA, and forwards the decrypted data.
/// Dropping it closes its port and all its connections.
#[derive(Debug)]
pub struct TlsEntry {
    address: SocketAddr,
    authority: String,
    _task: JoinSet<()>,
}

/// Accepts plain connections and forwards their data over TLS. Dropping it closes its port and all
/// its connections.
#[derive(Debug)]
pub struct TlsExit {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl TlsEntry {
    /// Starts to listen on loopback with a certificate for `host`. If `to` refuses a connection,
    /// the client's connection is closed before its TLS handshake completes.
    ///
    /// # Errors
    /// If the certificate cannot be created, or it cannot listen on a loopback port.
    pub async fn start(to: SocketAddr, host: &str) -> io::Result<Self> {
        let (config, authority) = certified(host)?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let (address, task) = listen(move |client| {
            let tls = tls.clone();
            async move {
                let mut server = connected(to).await?;
                copy_bidirectional(&mut tls.accept(client).await?, &mut server).await
            }
        })
        .await?;
        Ok(Self { address, authority, _task: task })
    }

    /// Returns the address at which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the certificate of the CA that the client must trust, as PEM.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }
}

impl TlsExit {
    /// Starts to listen on loopback. `authorities` are the CA certificates, as PEM, that may have
    /// signed the certificate of `host`.
    ///
    /// # Errors
    /// If the CA certificates or the host name cannot be parsed, or it cannot listen on a loopback
    /// port.
    pub async fn start(to: SocketAddr, host: &str, authorities: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities) {
            roots.add(authority.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let (address, task) = listen(move |mut client| {
            let (tls, name) = (tls.clone(), name.clone());
            async move {
                let mut server = tls.connect(name, connected(to).await?).await?;
                copy_bidirectional(&mut client, &mut server).await
            }
        })
        .await?;
        Ok(Self { address, _task: task })
    }

    /// Returns the address at which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Listens on a free port. Connections are closed when the task is dropped.
async fn listen<F, Fut>(carry: F) -> io::Result<(SocketAddr, JoinSet<()>)>
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = io::Result<(u64, u64)>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        let _ = client.set_nodelay(true);
                        let carried = carry(client);
                        // The client sees this failure too.
                        connections.spawn(async move { drop(carried.await) });
                    }
                }
                _ = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    });
    Ok((address, task))
}

async fn connected(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Creates two certificates, since rustls does not accept a CA certificate as a server certificate.
fn certified(host: &str) -> io::Result<(ServerConfig, String)> {
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "authority of a fault proxy");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let authority = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
    let params = CertificateParams::new(vec![host.to_owned()]).map_err(io::Error::other)?;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, &authority).map_err(io::Error::other)?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .map_err(io::Error::other)?;
    Ok((config, authority.pem()))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
