//! Responses that AWS sends and moto does not, from a server in this process.
#![cfg(test)]

mod client;

#[path = "scripted/answers.rs"]
mod answers;
#[path = "scripted/batches.rs"]
mod batches;
#[path = "scripted/bodies.rs"]
mod bodies;
#[path = "scripted/canary.rs"]
mod canary;
#[path = "scripted/chain.rs"]
mod chain;
#[path = "scripted/server.rs"]
mod server;
#[path = "scripted/stores.rs"]
mod stores;
#[path = "scripted/tags.rs"]
mod tags;
