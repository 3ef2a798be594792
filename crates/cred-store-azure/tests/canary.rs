//! Nothing secret comes out, whatever is printed and logged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod values;

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use cred_core::{CredentialContext, RetryPolicy, StorageProvider};
use cred_keyvault_double::{Double, Settings};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use values::{id, store};

const CANARY: &str = "canary-7f3a91";

/// What each token of the double begins with: its head in base64.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiI";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_and_no_token_is_printed_or_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_span_events(FmtSpan::FULL);
    // Of every thread: the test is alone in its process.
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let mut out = String::new();

    let settings = Settings { client_secret: CANARY.to_owned(), ..Settings::default() };
    let double = Double::start(settings.clone()).await.unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), double.authority_pem()).unwrap();
    let config = |secret: &str| {
        let Settings { tenant_id, client_id, .. } = settings.clone();
        AzureKeyVaultConfig::default()
            .with_vault_url(double.url())
            .with_allowed_host("127.0.0.1")
            .with_authority_host(double.url())
            .with_ca_cert(ca.path())
            .with_credential_type(AzureCredentialType::service_principal(tenant_id, client_id, secret.into()))
            .with_retry_policy(RetryPolicy::default().with_max_retries(1).with_base_delay_ms(10))
    };
    writeln!(out, "{:?}", config(CANARY)).unwrap();
    let ctx = CredentialContext::unscoped();

    let provider = AzureKeyVaultProvider::new(config(CANARY)).unwrap();
    store(&provider, "key", 1).await.unwrap();
    provider.retrieve(&id("key"), &ctx).await.unwrap();
    provider.list(None, &ctx).await.unwrap();
    double.revoke_tokens();
    provider.delete(&id("key"), &ctx).await.unwrap();
    store(&provider, "key", 2).await.unwrap();
    double.be_unavailable(9);
    writeln!(out, "{provider:?} {:?}", store(&provider, "key", 3).await).unwrap();

    let wrong = AzureKeyVaultProvider::new(config(&format!("{CANARY}-wrong"))).unwrap();
    let error = store(&wrong, "key", 1).await.unwrap_err();
    writeln!(out, "{wrong:?} {error} {error:?} {error:#?}").unwrap();

    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("oauth2") && logged.contains("cred::storage"), "the log holds what was done");
    for (what, text) in [("printed", &out), ("logged", &logged)] {
        for secret in [CANARY, TOKEN] {
            let found = text.lines().find(|line| line.contains(secret));
            assert!(found.is_none(), "{secret} was {what}: {found:?}");
        }
    }
}
