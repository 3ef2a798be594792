//! The conformance suite, network faults and request counts, on a test double of AWS that runs as a
//! server (moto).
#![cfg(test)]

mod client;

#[path = "integration/contract.rs"]
mod contract;
#[path = "integration/counts.rs"]
mod counts;
#[path = "integration/faults.rs"]
mod faults;
#[path = "integration/lifecycle.rs"]
mod lifecycle;
#[path = "integration/server.rs"]
mod server;
