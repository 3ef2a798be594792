//! The provider that `docs/writing-a-provider.md` begins with keeps the contract, and is the one that stands there.

#[path = "guide/skeleton.rs"]
mod skeleton;

use std::sync::Arc;

use cred_conformance::{Harness, Subject};
use cred_core::async_trait;
use skeleton::MyProvider;

struct Fresh(Arc<MyProvider>);

#[async_trait]
impl Harness for Fresh {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::clone(&self.0) as Arc<dyn Subject>
    }
}

cred_conformance::suite!(Fresh(Arc::new(MyProvider::new())), offers: [metrics]);

#[test]
fn the_guide_shows_it() {
    let shown = include_str!("guide/skeleton.rs");
    assert!(include_str!("../../../docs/writing-a-provider.md").contains(shown));
}
