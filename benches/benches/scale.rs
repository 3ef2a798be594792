//! Operations on many credentials, for `docs/performance.md`:
//! `cargo bench -p cred-benches --bench scale`.
//!
//! With `-- rekey`, it re-keys 100,000 credentials over a backend that takes 20 ms per call, once
//! with and once without compare-and-set. That takes about 20 minutes.

use std::cell::Cell;

use cred_benches::ratio::{compare, head};
use cred_benches::scale::{Tenants, rekey};

const MANY: usize = 500_000;
const FEW: usize = 10;

fn main() {
    if std::env::args().any(|argument| argument == "rekey") {
        for compare_and_set in [true, false] {
            rekey(100_000, compare_and_set);
        }
        return;
    }
    head();
    let (alone, beside) = (Tenants::new(0), Tenants::new(MANY));
    compare(
        "clear 10 cached credentials of a tenant, beside 500,000 of another / alone",
        1.50,
        200,
        || beside.clear_of(FEW),
        || alone.clear_of(FEW),
    );
    // The two sides of a round are of one clear.
    let of_round = Cell::new(None);
    let clear = || {
        of_round.take().unwrap_or_else(|| {
            beside.fill(MANY);
            let times = beside.slowest_miss_while_the_other_is_cleared();
            of_round.set(Some(times));
            times
        })
    };
    compare(
        "slowest miss of a tenant while 500,000 of another are cleared / the clear",
        0.50,
        5,
        || clear().0,
        || clear().1,
    );
}
