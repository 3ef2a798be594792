//! What a storage provider is, as tests that anybody can run.

mod clauses;
pub mod doubles;
mod harness;
mod leak;
mod patience;
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
