//! Local files under fire: killed writers, injected errors, lost power, eight processes at once.
//!
//! `cargo xtask fire` runs all of it at full size; an ordinary test run does the short form of what
//! needs no strace.
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

/// At full size, as `cargo xtask fire` asks for, or in the short form.
pub(crate) fn sized<T>(short: T, full: T) -> T {
    if std::env::var_os("CRED_FIRE_FULL").is_some() { full } else { short }
}
