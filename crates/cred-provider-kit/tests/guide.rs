//! Checks that the complete provider of `docs/writing-a-provider.md` fulfils the contract, and that
//! the guide contains exactly this code.

#[path = "guide/skeleton.rs"]
mod skeleton;

use std::sync::Arc;

use cred_conformance::{Harness, Subject};
use cred_core::async_trait;
use cred_provider_kit::Provider;
use skeleton::MyBackend;

struct Fresh(Provider<MyBackend>);

#[async_trait]
impl Harness for Fresh {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(self.0.clone())
    }
}

cred_conformance::suite!(Fresh(skeleton::open()), offers: [metrics]);

#[test]
fn the_guide_contains_this_provider() {
    let shown = include_str!("guide/skeleton.rs");
    assert!(include_str!("../../../docs/writing-a-provider.md").contains(shown));
}
