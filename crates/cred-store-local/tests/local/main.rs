//! What the crate promises, on a real file system.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by a panic")]

mod files;
mod outage;
mod place;
mod sharing;
mod trust;
