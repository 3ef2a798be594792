//! Keeps the memory of this process, which holds keys and values, out of core files and debuggers.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit that this process was started with.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// From now on no core file is written, and on Linux no process of this user can read this one's
/// memory. Where the system refuses, the program works all the same.
pub(crate) fn protect() {
    let before = *BEFORE.get_or_init(|| getrlimit(Resource::Core));
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..before });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Gives a command that takes the place of this process the limit that it would have had. `exec`
/// itself makes the process dumpable again.
pub(crate) fn unprotect() {
    if let Some(before) = BEFORE.get() {
        let _ = setrlimit(Resource::Core, *before);
    }
}
