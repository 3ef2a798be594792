//! Times in the format of Azure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the current time in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
