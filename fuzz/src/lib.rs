//! Shared code of the fuzz targets: the secret that no text may repeat, and known sealed
//! credentials.
//!
//! A target checks a rule: decoded bytes encode back to themselves, an edited credential does not
//! open, a listed path is in the answer. Each input is its own seed: a real encoding, without a
//! header that a person could not write.

mod canary;
mod folder;
mod known;

pub use canary::{CANARY, planted, planted_with, silent, silent_about, silent_text};
pub use folder::folder;
pub use known::{Known, known, ring};
