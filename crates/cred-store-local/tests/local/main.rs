//! Tests of the guarantees of the crate on a real file system.
#![cfg(unix)]
#![cfg(test)]

mod files;
mod modes;
mod outage;
mod place;
mod read_only;
mod sharing;
mod trust;
