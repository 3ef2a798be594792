//! What the benchmarks in `benches/` share; `docs/performance.md` has their ratios and the commands.
#![allow(missing_docs, missing_debug_implementations, reason = "not published: for the programs beside it")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails by panic says what it must")]
#![allow(clippy::print_stdout, reason = "prints its table")]

pub mod cache;
pub mod files;
pub mod loopback;
pub mod ratio;
pub mod sealing;
pub mod slow;
