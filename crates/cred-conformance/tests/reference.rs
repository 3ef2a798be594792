//! The reference provider passes the suite, with all optional features and with none.

use std::sync::Arc;

use cred_conformance::doubles::Reference;
use cred_conformance::{Edit, Harness, Subject};
use cred_core::{CredentialPath, Limits, async_trait};

/// A reference provider with all optional features.
struct Full(Reference);

#[async_trait]
impl Harness for Full {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(self.0.clone())
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.open().await)
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        self.0.edit_raw(path, edit)
    }

    async fn outage(&self, down: bool) -> bool {
        self.0.set_outage(down);
        true
    }

    async fn stall(&self, held: bool) -> bool {
        self.0.set_stall(held);
        true
    }

    fn backend_secrets(&self) -> Vec<String> {
        vec!["the reference has none".to_owned()]
    }
}

mod with_everything {
    use super::*;

    cred_conformance::suite!(
        Full(Reference::new().with_limits(Limits::none().with_max_payload_len(20_000).with_max_tags(10, 100, 200))),
        offers: [
            compare_and_set, soft_delete, metrics, payload_limit, tag_limits, reopen, raw_edit, outage,
            stall, backend_secrets,
        ],
    );
}

/// A reference provider without abilities, limits and hooks.
struct Plain;

#[async_trait]
impl Harness for Plain {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(Reference::new().without_abilities())
    }
}

mod with_nothing {
    use super::*;

    cred_conformance::suite!(Plain, offers: [metrics]);
}

/// Attributes are added to every test: without the first, this would not compile.
mod left_out {
    cred_conformance::suite!(
        #[cfg(any())]
        #[ignore = "never built"]
        NoSuchHarness::start().await,
        offers: [metrics]
    );
}
