//! The contract, the token's life and Vault's own answers, on a real Vault.
#![cfg(test)]

#[path = "integration/admin.rs"]
mod admin;
#[path = "integration/contract.rs"]
mod contract;
#[path = "integration/faults.rs"]
mod faults;
#[path = "integration/lifecycle.rs"]
mod lifecycle;
#[path = "integration/metadata.rs"]
mod metadata;
#[path = "integration/refusals.rs"]
mod refusals;
#[path = "integration/secured.rs"]
mod secured;
