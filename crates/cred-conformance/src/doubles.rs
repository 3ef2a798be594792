//! Providers for tests: a correct one, and wrappers that fail, lag or record.
//!
//! Each wrapper hands out the abilities of what it wraps, no more and no less.

mod codec;
mod reference;

pub use reference::Reference;
