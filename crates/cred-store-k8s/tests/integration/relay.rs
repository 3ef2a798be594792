//! Plain HTTP in front of the API server, which accepts only TLS, to count the bytes of responses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cred_fault_proxy::TlsExit;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::io::InspectReader;

use crate::admin::Admin;

/// Accepts plain connections and forwards them over TLS.
pub(crate) async fn plain(admin: &Admin) -> TlsExit {
    let (host, ca) = (admin.server.ip().to_string(), std::fs::read(&admin.ca).unwrap());
    TlsExit::start(admin.server, &host, &ca).await.unwrap()
}

/// A relay on a free loopback port. Dropping it closes it and every connection through it.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicU64>,
    _exit: TlsExit,
    _task: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(admin: &Admin) -> Self {
        let exit = plain(admin).await;
        let (to, listener) = (exit.address(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (address, answered) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let (mut task, counter) = (JoinSet::new(), Arc::clone(&answered));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let counter = Arc::clone(&counter);
                connections.spawn(async move {
                    let server = TcpStream::connect(to).await.unwrap();
                    client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).unwrap();
                    let count = |bytes: &[u8]| {
                        counter.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                    };
                    // A broken connection also ends for the client, which reports it.
                    let _ = copy_bidirectional(&mut client, &mut InspectReader::new(server, count)).await;
                });
            }
        });
        Self { address, answered, _exit: exit, _task: task }
    }

    /// Bytes of all responses so far, with headers and bodies.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }
}
