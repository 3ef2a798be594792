//! The provider that `docs/writing-a-provider.md` begins with keeps the contract, and is the one
//! that stands there.

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
fn the_guide_shows_it() {
    let shown = include_str!("guide/skeleton.rs");
    assert!(include_str!("../../../docs/writing-a-provider.md").contains(shown));
}
