//! The contract, faults and the referee, on a vault: a real one, or the test double.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by a panic, and JSON has no other way in"
)]

#[path = "integration/contract.rs"]
mod contract;
#[path = "integration/deleted.rs"]
mod deleted;
#[path = "integration/faults.rs"]
mod faults;
#[path = "integration/referee.rs"]
mod referee;
#[path = "integration/refusals.rs"]
mod refusals;
#[path = "integration/vault.rs"]
mod vault;
