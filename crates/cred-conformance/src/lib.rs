//! What a storage provider is, as tests that anybody can run: one for each numbered rule in the
//! docs of [`StorageProvider`](cred_core::StorageProvider),
//! [`CompareAndSet`](cred_core::CompareAndSet) and [`SoftDelete`](cred_core::SoftDelete).
//!
//! # A first suite
//! A [`Harness`] gives each test an empty place of its own, and [`suite!`] makes the tests. This is
//! a whole `tests/conformance.rs`; the crate needs `cred-core` and, among its dev-dependencies,
//! this one:
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
//! A test is named after its rule: `store_1_what_was_stored_is_given_back_exactly` proves store-1.
//! Its failure says which rule is broken, what was seen, what to do, and whose docs hold the rule.
//! Where much is red, begin with `retrieve_1`, `store_1` and `scope_1`: a provider that breaks
//! those is red nearly everywhere.
//!
//! # What a provider offers
//! `offers: [...]` holds words of [`Offers`]: what the provider has besides the plain operations,
//! and what the harness can do besides opening it. A clause that needs a word which is not there is
//! ignored, as "not offered". One clause, `offers_what_is_declared_is_what_is_there`, fails for a
//! word too many or too few, so that nothing is left out by mistake.
//!
//! | word | where it comes from | its clauses |
//! |---|---|---|
//! | `compare_and_set` | [`StorageProvider::compare_and_set`](cred_core::StorageProvider::compare_and_set) | cas |
//! | `soft_delete` | [`StorageProvider::soft_delete`](cred_core::StorageProvider::soft_delete) | soft |
//! | `metrics` | [`StorageProvider::metrics`](cred_core::StorageProvider::metrics) | metrics |
//! | `payload_limit`, `tag_limits` | [`Description::limits`](cred_core::Description::limits) | store-5, store-6 |
//! | `reopen` | [`Harness::reopen`] | durability, several clients |
//! | `raw_edit` | [`Harness::edit_raw`] | error-3, list-5, delete-4: bytes that are broken |
//! | `outage` | [`Harness::outage`] | error-1, error-2, describe-1: a backend that is down |
//! | `stall` | [`Harness::stall`] | describe-3, describe-4, error-2, cancel-2: a backend that does not answer |
//! | `backend_secrets` | [`Harness::backend_secrets`] | error-4 |
//!
//! # Time
//! Clauses hold a provider to what its [`Description`](cred_core::Description) says. With
//! [`Consistency::Strong`](cred_core::Consistency::Strong) every write shows at once. With
//! `Eventual { point, list }` a question is repeated until that time has passed since the write;
//! the answer to a question asked later counts. So a suite is slow where a bound is long and
//! answers are wrong, not where it is merely long; clauses on compare-and-set and on broken bytes
//! wait for the whole `point`. Every operation must end within `operation_timeout` and five
//! seconds, which a busy machine is given. The clauses of a stall last for `operation_timeout`, and
//! the one of cancel-2 twice for `in_doubt` as well.
//!
//! # Without the macro
//! [`Clause::all`] and [`Clause::check`] run the clauses from a program of yours, on any tokio
//! runtime with time enabled, a paused one included. A provider that blocks is told so at once
//! where the runtime has one thread, as the macro's has in a stall, and elsewhere when its time is
//! over.
//!
//! # Doubles
//! [`doubles`] has a provider that is right and wrappers that fail, lag and record, for tests of
//! what stands above a provider.

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
