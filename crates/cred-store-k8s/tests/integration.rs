//! Tests on a real API server: the contract, permissions, refusals, faults and expired lists.
#![cfg(test)]

#[path = "integration/admin.rs"]
mod admin;
#[path = "integration/contract.rs"]
mod contract;
#[path = "integration/faults.rs"]
mod faults;
#[path = "integration/foreign.rs"]
mod foreign;
#[path = "integration/lifecycle.rs"]
mod lifecycle;
#[path = "integration/lists.rs"]
mod lists;
#[path = "integration/refusals.rs"]
mod refusals;
#[path = "integration/relay.rs"]
mod relay;
#[path = "integration/server.rs"]
mod server;
