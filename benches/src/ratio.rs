//! Two ways to do the same work, by turns.
//!
//! A machine that others use is now fast and now slow. Criterion measures one thing for seconds and then the other; here
//! each round runs both, and only the ratio within a round counts. The median of many rounds is what is quoted.

use std::time::Duration;

const WARM_UP: usize = 10;

/// Runs `work` and `baseline` by turns and prints a row of the table of `docs/performance.md`: what, median of the ratios,
/// the middle half of them, and what is wanted.
pub fn compare(
    what: &str,
    at_most: f64,
    rounds: usize,
    mut work: impl FnMut() -> Duration,
    mut baseline: impl FnMut() -> Duration,
) {
    let mut ratios: Vec<f64> = (0..WARM_UP.min(rounds) + rounds)
        .map(|round| {
            // Who comes first finds the caches of the processor as the other has left them.
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

/// The head of the table.
pub fn head() {
    println!("| work / baseline | median | middle half | at most | |\n|---|---|---|---|---|");
}
