//! A `cred.toml` as a service opens it.

#![cfg(test)]
#![cfg(all(unix, feature = "local", feature = "memory"))]

#[path = "config/canary.rs"]
mod canary;
#[path = "config/folder.rs"]
mod folder;
#[path = "config/open.rs"]
mod open;
#[path = "config/secrets.rs"]
mod secrets;
