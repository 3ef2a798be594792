//! What the fuzz targets share: the secret that no text may repeat, known sealed credentials, and a backend that answers
//! what the fuzzer says.
//!
//! A target is a law, not a call: what decodes encodes back to the same bytes, what was edited does not open, what a backend
//! answers is told truly. Each input is its own seed: a real encoding, without a header that a person could not write.

mod canary;
mod folder;
mod known;
#[cfg(feature = "served")]
mod served;

pub use canary::{CANARY, planted, silent, silent_text};
pub use folder::folder;
pub use known::{Known, known, ring};
#[cfg(feature = "served")]
pub use served::{Backend, Script, TIMEOUT, once};
