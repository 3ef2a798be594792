//! A conformance suite for storage providers: one test for each numbered rule in the docs of
//! [`StorageProvider`](cred_core::StorageProvider),
//! [`CompareAndSet`](cred_core::CompareAndSet) and [`SoftDelete`](cred_core::SoftDelete).
//!
//! # Getting started
//! A [`Harness`] gives each test its own empty namespace, and [`suite!`] generates the tests. This
//! is a complete `tests/conformance.rs`. The provider's crate depends on `cred-core` and has this
//! crate as a dev-dependency:
//!
//! ```
//! use std::sync::Arc;
//!
//! use cred_conformance::{Harness, Subject};
//! use cred_core::async_trait;
//! # use cred_conformance::doubles::Reference as MyProvider;
//!
//! struct Fresh;
//!
//! #[async_trait]
//! impl Harness for Fresh {
//!     async fn open(&self) -> Arc<dyn Subject> {
//!         Arc::new(MyProvider::new())
//!     }
//! }
//!
//! cred_conformance::suite!(Fresh, offers: [compare_and_set, soft_delete, metrics]);
//! # fn main() {}
//! ```
//!
//! A test is named after its rule: `store_1_a_stored_value_is_returned_unchanged` proves store-1.
//! A failure names the broken rule, the observed behaviour, a fix, and the item whose docs contain
//! the rule. If many tests fail, start with `retrieve_1`, `store_1` and `scope_1`: a provider that
//! breaks those fails nearly all tests.
//!
//! # Optional features: `offers`
//! `offers: [...]` lists words of [`Offers`]: the optional abilities of the provider, and the
//! optional methods of the harness. A clause that needs a word which is not listed is ignored, as
//! "not offered". One clause, `offers_match_the_provider_and_the_harness`, fails if a word is
//! missing or should not be listed, so no clause is skipped by mistake.
//!
//! | word | source | clauses that need it |
//! |---|---|---|
//! | `compare_and_set` | [`StorageProvider::compare_and_set`](cred_core::StorageProvider::compare_and_set) | cas |
//! | `soft_delete` | [`StorageProvider::soft_delete`](cred_core::StorageProvider::soft_delete) | soft |
//! | `metrics` | [`StorageProvider::metrics`](cred_core::StorageProvider::metrics) | metrics |
//! | `payload_limit`, `tag_limits` | [`Description::limits`](cred_core::Description::limits) | store-5, store-6 |
//! | `reopen` | [`Harness::reopen`] | durability, several clients |
//! | `raw_edit` | [`Harness::edit_raw`] | error-3, list-5, delete-4: corrupted bytes |
//! | `outage` | [`Harness::outage`] | error-1, error-2, describe-1: a backend that is down |
//! | `stall` | [`Harness::stall`] | describe-3, describe-4, error-2, cancel-2: a backend that does not answer |
//! | `backend_secrets` | [`Harness::backend_secrets`] | error-4 |
//!
//! # Timing
//! Clauses test a provider against its own [`Description`](cred_core::Description):
//!
//! - With [`Consistency::Strong`](cred_core::Consistency::Strong), every write must be visible at
//!   once.
//! - With `Eventual { point, list }`, a clause repeats a check until that time has passed since the
//!   write, and fails only on a check that started after the bound. So a long bound alone does not
//!   make the suite slow; wrong results do. Clauses on compare-and-set and on corrupted bytes
//!   always wait for the whole `point`.
//! - Every operation must end within `operation_timeout` plus five seconds; the margin allows for a
//!   busy machine.
//! - The clauses that stall the backend take `operation_timeout`; the cancel-2 clause also takes
//!   `in_doubt` twice.
//!
//! # Without the macro
//! [`Clause::all`] and [`Clause::check`] run the clauses from your own program, on any tokio
//! runtime with time enabled, including a paused one. A provider that blocks its thread is detected
//! at once on a runtime with one thread, which the macro uses for the clauses that stall. On other
//! runtimes it is detected when the time of the stall is over.
//!
//! # Test doubles
//! [`doubles`] contains a correct provider, and wrappers that fail, lag and record. Use them to
//! test code that uses a provider.

mod clauses;
pub mod doubles;
mod harness;
mod leak;
mod patience;
mod pulse;
mod rule;
mod suite;
mod trial;
mod value;
mod watch;
mod wording;

pub use harness::{Edit, Effort, Harness, Offers, Subject};
pub use suite::Clause;
#[doc(hidden)]
pub use suite::run as __run;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
