//! Stores whose value is written and whose custom metadata are not.

use std::time::Duration;

use cred_core::{Sealed, StorageProvider, StorageResult};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use cred_testing::http::Answer;
use cred_testing::log::Log;
use cred_testing::value::{id, store, unscoped, value};
use tokio::time::Instant;
use tracing::Level;

use crate::TOKEN;
use crate::script::{Script, denied, respond};

const WRITTEN: &str = r#"{"data":{"version":1,"created_time":"t"}}"#;

fn provider(config: VaultConfig) -> HashiCorpVaultProvider {
    let method = VaultAuthMethod::token(TOKEN.into());
    HashiCorpVaultProvider::new(config.with_auth_method(method).with_custom_metadata(true)).unwrap()
}

/// A Vault that accepts values, and sends this response to custom metadata.
async fn answering(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Script {
    Script::start(move |asked, _| match asked.split_once(' ') {
        Some(("POST", path)) if path.contains("/metadata/") => answer(),
        Some(("POST", _)) => respond(200, WRITTEN),
        _ => denied(),
    })
    .await
}

#[tokio::test]
async fn a_store_succeeds_and_logs_a_warning_if_custom_metadata_fail() {
    let lost: fn() -> Answer = Answer::lost;
    for answer in [denied, lost, || respond(500, r#"{"errors":["no"]}"#), || respond(200, "<html>")] {
        let (log, listening) = Log::of_thread(Level::WARN);
        let vault = answering(answer).await;
        store(&provider(vault.config()), "key", 1).await.unwrap();
        drop(listening);
        let log = log.text();
        assert!(log.contains("the custom metadata of its secret were not updated"), "{log}");
        assert!(log.contains("nebula/credentials/key") && !log.contains(TOKEN), "{log}");
    }
}

#[tokio::test]
async fn a_conditional_store_returns_its_revision_if_custom_metadata_fail() {
    let vault = answering(denied).await;
    let provider = provider(vault.config());
    let Sealed { data, metadata } = value(1);
    let cas = provider.compare_and_set().unwrap();
    let stored = cas.store_if(&id("key"), data, metadata, None, &unscoped()).await;
    assert_eq!(stored.unwrap().as_str(), "1@t");
}

/// The operation would time out while it waits for the response about the custom metadata.
#[tokio::test]
async fn custom_metadata_without_a_response_do_not_time_out_the_store() {
    let vault = answering(Answer::never).await;
    let config = vault.config().with_timeout(Duration::from_secs(3));
    let provider = provider(config.with_operation_timeout(Duration::from_secs(3)));
    let begun = Instant::now();
    let stored: StorageResult<()> = store(&provider, "key", 1).await;
    stored.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_store_that_fails_writes_no_custom_metadata() {
    let vault = Script::start(|_, _| denied()).await;
    store(&provider(vault.config()), "key", 1).await.unwrap_err();
    assert_eq!(vault.asked("POST", "metadata/nebula/credentials/key"), 0);
}
