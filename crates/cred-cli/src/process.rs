//! Protects the memory of this process, which holds keys and values, from core files and debuggers.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The core file limit that this process was started with.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Disables core files, and on Linux also access of other processes of this user to this process's
/// memory. If the system refuses, the program continues without this protection.
pub(crate) fn protect() {
    let before = *BEFORE.get_or_init(|| getrlimit(Resource::Core));
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), ..before });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Restores the core file limit, for the command that replaces this process. `exec` itself makes
/// the process dumpable again.
pub(crate) fn unprotect() {
    if let Some(before) = BEFORE.get() {
        let _ = setrlimit(Resource::Core, *before);
    }
}
