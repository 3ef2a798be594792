//! Test doubles: a correct provider, wrappers for any provider that fail, lag or record, and a
//! sealer that fails.
//!
//! Each wrapper has exactly the abilities of the provider that it wraps.

mod encoding;
mod failing_sealer;
mod faulty;
mod lagging;
mod recording;
mod reference;

pub use failing_sealer::FailingSealer;
pub use faulty::{Alter, Fault, Faulty};
pub use lagging::Lagging;
pub use recording::{RecordedCall, Recording};
pub use reference::Reference;
