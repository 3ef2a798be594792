//! The benchmarks are in `benches/`; `docs/performance.md` has their ratios and the commands.
