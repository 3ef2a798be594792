//! Stress tests of local files: killed writers, injected errors, power cuts, and eight concurrent
//! processes.
//!
//! `cargo xtask fire` runs all of them at full size. An ordinary test run executes the short form
//! of those that need no strace.
#![cfg(target_os = "linux")]
#![cfg(test)]

mod disk;
mod inject;
mod kills;
mod linear;
mod locks;
mod many;
mod oracle;
mod order;
mod power;
mod register;
mod trace;
mod worker;

/// Returns `full` if `cargo xtask fire` runs the tests, and otherwise `short`.
pub(crate) fn sized<T>(short: T, full: T) -> T {
    if std::env::var_os("CRED_FIRE_FULL").is_some() { full } else { short }
}
