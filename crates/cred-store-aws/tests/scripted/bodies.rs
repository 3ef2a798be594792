//! Response bodies that AWS does not send.

use std::net::SocketAddr;
use std::time::Duration;

use cred_core::{RetryPolicy, StorageProvider};
use cred_store_aws::AwsSecretsManagerProvider;
use cred_testing::value::{id, kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::sdk;
use crate::server::{config, ctx};

/// Sends an endless body, and returns how many bytes were sent before the reader disconnected.
async fn endless(head: &'static str) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16 * 1_024];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let (chunk, mut sent) = (vec![b' '; 1 << 20], 0);
        while stream.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    });
    (address, sent)
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_a_limit() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 400 X\r\n\r\n"] {
        let (address, sent) = endless(head).await;
        let config = config()
            .with_timeout(Duration::from_secs(60))
            .with_operation_timeout(Duration::from_secs(60))
            .with_retry_policy(RetryPolicy::default().with_max_retries(0));
        let provider = AwsSecretsManagerProvider::with_client(config, sdk(address)).unwrap();
        let error = provider.retrieve(&id("key"), &ctx()).await.unwrap_err();
        assert_eq!(kind(&error), "Unavailable", "{error:?}");
        assert!(error.to_string().contains("which is not an answer of AWS"), "{error}");
        drop(provider);
        // Beyond the limit, only the buffers of the connection were filled.
        let sent = sent.await.unwrap();
        assert!((64 << 20..96 << 20).contains(&sent), "{sent}");
    }
}
