//! Measures the memory that a list of 10,000 Secrets needs, in a separate process.
#![cfg(test)]
// This program uses only a part of the module.
#![allow(dead_code, reason = "the module is shared with another test program")]

#[path = "integration/admin.rs"]
mod admin;

use std::collections::BTreeMap;

use cred_core::StorageProvider;
use cred_store_k8s::KubernetesSecretsProvider;
use cred_testing::value::{id, store, unscoped};
use futures_util::StreamExt;

use admin::Admin;

const SECRETS: usize = 10_000;
/// Bytes of annotations on each Secret, which a list has to read but need not keep.
const ANNOTATED: usize = 4 * 1_024;

/// The peak memory of this process in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn ten_thousand_secrets_are_listed_in_bounded_memory() {
    let admin = Admin::new().await;
    let annotations = BTreeMap::from([("note".to_owned(), "x".repeat(ANNOTATED))]);
    let config = admin.config().await.with_default_annotations(annotations);
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    let ids: Vec<_> = (0..SECRETS).map(|number| id(&format!("key-{number}"))).collect();
    futures_util::stream::iter(&ids)
        .for_each_concurrent(16, |id| {
            let provider = &provider;
            async move {
                store(provider, id.as_str(), 1).await.unwrap();
            }
        })
        .await;
    let before = peak();
    let listed = provider.list(None, &unscoped()).await.unwrap();
    assert_eq!(listed.len(), SECRETS);
    let grown = peak() - before;
    let read = SECRETS * ANNOTATED;
    eprintln!("memory: at least {read} bytes were read, the process grew by {grown}");
    assert!(grown < read / 4, "a list of {SECRETS} Secrets took {grown} bytes");
}
