//! Network faults between the provider and the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageProvider, async_trait};
use cred_fault_proxy::Remote;
use cred_store_aws::AwsSecretsManagerConfig;

use crate::server::{config, provider, server};

struct Aws {
    config: AwsSecretsManagerConfig,
}

impl Aws {
    fn new() -> Self {
        let config =
            config().with_timeout(Duration::from_secs(1)).with_operation_timeout(Duration::from_secs(5));
        Self { config }
    }
}

#[async_trait]
impl Remote for Aws {
    fn server(&self) -> SocketAddr {
        server()
    }

    async fn provider(&self, through: SocketAddr) -> Arc<dyn StorageProvider> {
        Arc::new(provider(self.config.clone(), through))
    }

    /// The description of the secret, for its tags.
    fn requests_before_write(&self) -> usize {
        1
    }

    fn refusal(&self) -> String {
        r#"{"message":"not now"}"#.to_owned()
    }
}

cred_fault_proxy::suite!(
    #[ignore = "needs a real server: cargo xtask test-integration aws"]
    Aws::new(),
    offers: []
);
