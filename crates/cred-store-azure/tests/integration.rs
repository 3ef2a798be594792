//! The contract, network faults and the referee, with a real vault or the test double.
#![cfg(test)]

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
