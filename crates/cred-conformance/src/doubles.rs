//! Providers for tests: a correct one, and wrappers that fail, lag or record; and a sealer that
//! fails.
//!
//! Each wrapper hands out the abilities of what it wraps, no more and no less.

mod encoding;
mod failing_sealer;
mod faulty;
mod lagging;
mod recording;
mod reference;

pub use failing_sealer::FailingSealer;
pub use faulty::{Alter, Fault, Faulty};
pub use lagging::Lagging;
pub use recording::{Call, Recording};
pub use reference::Reference;
