//! The contract, the token's life and Vault's own answers, on a real Vault.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by a panic, and JSON has no other way in"
)]

#[path = "integration/admin.rs"]
mod admin;
#[path = "integration/contract.rs"]
mod contract;
#[path = "integration/faults.rs"]
mod faults;
#[path = "integration/lifecycle.rs"]
mod lifecycle;
#[path = "integration/refusals.rs"]
mod refusals;
#[path = "integration/secured.rs"]
mod secured;
