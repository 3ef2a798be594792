//! What AWS says and a double of it does not, from a server in this process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by a panic, and JSON has no other way in"
)]

mod client;

#[path = "scripted/answers.rs"]
mod answers;
#[path = "scripted/batches.rs"]
mod batches;
#[path = "scripted/canary.rs"]
mod canary;
#[path = "scripted/chain.rs"]
mod chain;
#[path = "scripted/http.rs"]
mod http;
#[path = "scripted/server.rs"]
mod server;
#[path = "scripted/stores.rs"]
mod stores;
