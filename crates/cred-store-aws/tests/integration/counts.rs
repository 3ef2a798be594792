//! The number of requests per operation, as in the table of the crate's documentation.

use std::sync::atomic::Ordering;

use cred_core::{CredentialContext, CredentialFilter, Sealed, StorageProvider};
use cred_fault_proxy::Proxy;
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use cred_testing::value::{id, store, value};

use crate::server::{config, provider, server};

struct Counted {
    proxy: Proxy,
    provider: AwsSecretsManagerProvider,
    ctx: CredentialContext,
}

impl Counted {
    async fn new(config: AwsSecretsManagerConfig) -> Self {
        let proxy = Proxy::start(server()).await.unwrap();
        let provider = provider(config, proxy.address());
        Self { proxy, provider, ctx: CredentialContext::unscoped() }
    }

    /// Returns the number of requests of an operation, and its result. Retries are not counted,
    /// because moto responds with a service error if another test writes while it searches for a
    /// secret.
    async fn count<T>(&self, operation: impl Future<Output = T>) -> (usize, T) {
        let requests = || {
            let retries = self.provider.metrics().unwrap().retry_count.load(Ordering::Relaxed);
            self.proxy.requests() - usize::try_from(retries).unwrap()
        };
        let before = requests();
        let answer = operation.await;
        (requests() - before, answer)
    }

    async fn store_tagged(&self, name: &str, tags: &[&str]) -> usize {
        let Sealed { data, mut metadata } = value(1);
        tags.iter().for_each(|key| drop(metadata.tags.insert(*key, "x").unwrap()));
        let (requests, answer) = self.count(self.provider.store(&id(name), data, metadata, &self.ctx)).await;
        answer.unwrap();
        requests
    }

    async fn store(&self, name: &str) -> usize {
        let (requests, answer) = self.count(store(&self.provider, name, 1)).await;
        answer.unwrap();
        requests
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn operations_of_one_credential_make_as_many_requests_as_documented() {
    let c = Counted::new(config()).await;
    assert_eq!(c.store("key").await, 2, "a new secret");
    assert_eq!(c.store("key").await, 2, "an existing secret");
    let (requests, stored) = c.count(c.provider.retrieve(&id("key"), &c.ctx)).await;
    assert_eq!((requests, stored.unwrap()), (1, value(1)));
    let (requests, exists) = c.count(c.provider.exists(&id("key"), &c.ctx)).await;
    assert_eq!((requests, exists.unwrap()), (1, true));
    let (requests, deleted) = c.count(c.provider.delete(&id("key"), &c.ctx)).await;
    assert_eq!((requests, deleted.unwrap()), (1, ()));
    let (requests, deleted) = c.count(c.provider.delete(&id("key"), &c.ctx)).await;
    assert_eq!((requests, deleted.unwrap()), (2, ()), "an already scheduled secret is described");
    let (requests, deleted) = c.count(c.provider.delete(&id("absent"), &c.ctx)).await;
    assert_eq!((requests, deleted.unwrap()), (1, ()));
    let (requests, stored) = c.count(c.provider.retrieve(&id("key"), &c.ctx)).await;
    assert!(stored.unwrap_err().is_not_found());
    assert_eq!(requests, 2, "a scheduled secret is described");
    assert_eq!(c.store("key").await, 3, "described, restored, written");
    let soft = c.provider.soft_delete().unwrap();
    c.provider.delete(&id("key"), &c.ctx).await.unwrap();
    let (requests, recovered) = c.count(soft.recover(&id("key"), &c.ctx)).await;
    assert_eq!((requests, recovered.unwrap()), (2, ()));
    c.provider.delete(&id("key"), &c.ctx).await.unwrap();
    let (requests, purged) = c.count(soft.purge(&id("key"), &c.ctx)).await;
    assert_eq!((requests, purged.unwrap()), (2, ()));
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn tags_that_changed_cost_up_to_three_more_requests() {
    let c = Counted::new(config().with_default_tags([("team", "payments")])).await;
    assert_eq!(c.store_tagged("key", &["a"]).await, 2, "a new secret");
    assert_eq!(c.store_tagged("key", &["a"]).await, 2, "the same tags");
    assert_eq!(c.store_tagged("key", &["a", "b"]).await, 3, "one more tag");
    assert_eq!(c.store_tagged("key", &["a"]).await, 4, "one tag less");
    assert_eq!(c.store_tagged("key", &["c"]).await, 5, "one tag replaced");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn without_update_tags_tags_cost_no_requests() {
    let c = Counted::new(config().with_update_tags(false)).await;
    assert_eq!(c.store_tagged("key", &["a"]).await, 2, "a new secret");
    assert_eq!(c.store_tagged("key", &["b"]).await, 1, "an existing secret");
    c.provider.delete(&id("key"), &c.ctx).await.unwrap();
    assert_eq!(c.store_tagged("key", &["b"]).await, 4, "refused, described, restored, written");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration aws"]
async fn a_hundred_secrets_are_read_in_five_requests_and_lists_have_pages_of_a_hundred() {
    let c = Counted::new(config()).await;
    let ids: Vec<_> = (0..120).map(|number| id(&format!("key-{number}"))).collect();
    for id in &ids {
        c.store(id.as_str()).await;
    }
    let hundred = ids.get(..100).unwrap();
    let (requests, answers) = c.count(c.provider.retrieve_many(hundred, &c.ctx)).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|stored| *stored == value(1))));
    assert_eq!((requests, answers.len()), (5, 100));
    let (requests, listed) = c.count(c.provider.list(None, &c.ctx)).await;
    assert_eq!((requests, listed.unwrap().len()), (2, 120));
    let filter = CredentialFilter::new().with_tag("team", "payments");
    let (requests, listed) = c.count(c.provider.list(Some(&filter), &c.ctx)).await;
    assert_eq!((requests, listed.unwrap().len()), (2 + 6, 0), "values are read in twenties");
    let scoped = CredentialContext::from(Some("org:acme".parse().unwrap()));
    let (requests, listed) = c.count(c.provider.list(None, &scoped)).await;
    assert_eq!((requests, listed.unwrap().len()), (2, 0), "the scope's names, and the hashed ones");
}
