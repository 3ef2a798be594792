//! Measures two implementations of the same work in alternation.
//!
//! The speed of a shared machine varies. Criterion measures one implementation for seconds and then
//! the other. Here each round runs both, and only the ratio within a round counts. The result is
//! the median over many rounds.

use std::time::Duration;

const WARM_UP: usize = 10;

/// Runs `work` and `baseline` in alternation and prints a row of the tables in
/// `docs/performance.md`: `what`, the median of the ratios, their middle half, the upper bound and
/// whether it was met.
pub fn compare(
    what: &str,
    at_most: f64,
    rounds: usize,
    mut work: impl FnMut() -> Duration,
    mut baseline: impl FnMut() -> Duration,
) {
    let mut ratios: Vec<f64> = (0..WARM_UP.min(rounds) + rounds)
        .map(|round| {
            // Alternate the order: the side that runs first finds the CPU caches as the other left
            // them.
            let (work, baseline) = match round % 2 {
                0 => {
                    let work = work();
                    (work, baseline())
                }
                _ => {
                    let baseline = baseline();
                    (work(), baseline)
                }
            };
            work.as_secs_f64() / baseline.as_secs_f64()
        })
        .skip(WARM_UP.min(rounds))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: usize| ratios.get(ratios.len() * share / 4).copied().unwrap_or(f64::NAN);
    let median = at(2);
    let verdict = if median <= at_most { "met" } else { "missed" };
    println!("| {what} | {median:.3} | {:.3} to {:.3} | {at_most:.2} | {verdict} |", at(1), at(3));
}

/// Prints the head of the table.
pub fn head() {
    println!("| work / baseline | median | middle half | at most | |\n|---|---|---|---|---|");
}
