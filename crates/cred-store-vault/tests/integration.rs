//! Tests on a real Vault: the contract, the lifetime of tokens, refusals, faults and TLS.
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
