//! Code shared by the benchmarks in `benches/`. `docs/performance.md` has the commands and the
//! measured ratios.
#![allow(missing_docs, missing_debug_implementations, reason = "not published; only used by the benchmarks")]
#![allow(clippy::unwrap_used, reason = "a benchmark may panic on failure")]
#![allow(clippy::print_stdout, reason = "benchmarks print their results")]

pub mod cache;
#[cfg(feature = "local")]
pub mod files;
pub mod loopback;
pub mod ratio;
pub mod scale;
pub mod sealing;
pub mod slow;
