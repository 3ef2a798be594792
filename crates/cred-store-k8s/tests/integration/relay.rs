//! Plain TCP in front of the API server, which speaks TLS alone: what breaks single requests has to see them, and what counts bytes
//! has to count those of HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// A relay on a free port of loopback. Dropping it ends it, and every connection through it.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(server: SocketAddr, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answered = Arc::new(AtomicU64::new(0));
        let mut task = JoinSet::new();
        let counter = Arc::clone(&answered);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (connector, counter) = (connector.clone(), Arc::clone(&counter));
                // One that ends has ended for the client, who sees it.
                connections.spawn(async move { drop(carry(client, server, &connector, &counter).await) });
            }
        });
        Self { address, answered, _task: task }
    }

    /// Bytes of all answers so far, heads and bodies.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    connector: &TlsConnector,
    answered: &AtomicU64,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(server.ip());
    let mut server = connector.connect(name, stream).await?;
    let (mut asked, mut answer) = (vec![0; 16 * 1_024], vec![0; 16 * 1_024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read? {
                0 => return Ok(()),
                count => {
                    server.write_all(asked.get(..count).unwrap_or_default()).await?;
                    server.flush().await?;
                }
            },
            read = server.read(&mut answer) => match read? {
                0 => return client.shutdown().await,
                count => {
                    answered.fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::SeqCst);
                    client.write_all(answer.get(..count).unwrap_or_default()).await?;
                }
            },
        }
    }
}
