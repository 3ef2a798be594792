//! Checks whether a history of calls is linearizable: whether some sequential order of the calls on
//! one register explains all results.

use std::collections::{BTreeMap, HashSet};

/// A call of a client and its result. Values are numbers, each written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Read(Option<u64>),
    Store(u64),
    Delete,
    /// A conditional store that replaced `expected`.
    Swapped {
        expected: Option<u64>,
        new: u64,
    },
    /// A conditional store that failed because the value was not `expected`.
    Conflict {
        expected: Option<u64>,
    },
}

/// One call. The times are from a clock that all processes share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) outcome: Outcome,
}

/// The value of a register, and a bit mask of the pending calls that have taken effect.
type State = (Option<u64>, u64);

/// Returns the first call that no order explains, or `None` if all calls are explained.
///
/// Walks through the history and tracks all possible states. A call takes effect at one moment
/// between its begin and its end, so when it ends, only states in which it took effect remain.
pub(crate) fn violation(history: &[Record]) -> Option<Record> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (index, record) in history.iter().enumerate() {
        events.push((record.began, false, index));
        // At equal times the begin sorts first, so that both orders are possible.
        events.push((record.ended, true, index));
    }
    events.sort_unstable();
    let mut states: HashSet<State> = HashSet::from([(None, 0)]);
    // The pending calls, by bit.
    let mut pending: BTreeMap<u32, usize> = BTreeMap::new();
    for (_, ends, index) in events {
        if !ends {
            let free = (0..64).find(|bit| !pending.contains_key(bit)).expect("at most 64 clients");
            pending.insert(free, index);
            continue;
        }
        let bit = *pending.iter().find(|(_, call)| **call == index).expect("the call began").0;
        // Explore all orders in which pending calls take effect, until this call has.
        let mut unexplored: Vec<State> = states.drain().collect();
        let mut seen: HashSet<State> = unexplored.iter().copied().collect();
        while let Some((value, done)) = unexplored.pop() {
            if done & (1 << bit) != 0 {
                states.insert((value, done & !(1 << bit)));
                continue;
            }
            for (bit, call) in &pending {
                if done & (1 << bit) == 0
                    && let Some(after) = effect(history[*call].outcome, value)
                {
                    let next = (after, done | (1 << bit));
                    if seen.insert(next) {
                        unexplored.push(next);
                    }
                }
            }
        }
        if states.is_empty() {
            return Some(history[index]);
        }
        pending.remove(&bit);
    }
    None
}

/// The value after the call, or `None` if the call cannot have this result at `value`.
fn effect(outcome: Outcome, value: Option<u64>) -> Option<Option<u64>> {
    match outcome {
        Outcome::Read(found) => (found == value).then_some(value),
        Outcome::Store(new) => Some(Some(new)),
        Outcome::Delete => Some(None),
        Outcome::Swapped { expected, new } => (expected == value).then_some(Some(new)),
        Outcome::Conflict { expected } => (expected != value).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_linearizable(history: &[(u64, u64, Outcome)]) -> bool {
        let records: Vec<_> =
            history.iter().map(|&(began, ended, outcome)| Record { began, ended, outcome }).collect();
        violation(&records).is_none()
    }

    #[test]
    fn calls_that_overlap_may_take_effect_in_either_order() {
        use Outcome::*;
        assert!(is_linearizable(&[(1, 5, Store(1)), (2, 3, Read(None)), (4, 6, Read(Some(1)))]));
        assert!(is_linearizable(&[(1, 9, Store(1)), (1, 9, Store(2)), (10, 11, Read(Some(1)))]));
        assert!(is_linearizable(&[(1, 2, Store(1)), (3, 8, Delete), (4, 5, Read(None)), (6, 7, Read(None))]));
    }

    #[test]
    fn histories_that_no_order_explains_are_detected() {
        use Outcome::*;
        assert!(!is_linearizable(&[(1, 2, Store(1)), (3, 4, Read(None))]), "a lost write");
        assert!(
            !is_linearizable(&[(1, 2, Store(1)), (3, 4, Store(2)), (5, 6, Read(Some(1)))]),
            "a stale read"
        );
        assert!(!is_linearizable(&[(3, 4, Store(1)), (1, 2, Read(Some(1)))]), "read before it was stored");
        assert!(
            !is_linearizable(&[(1, 9, Store(1)), (2, 3, Read(Some(1))), (4, 5, Read(None))]),
            "the value disappeared again"
        );
        assert!(
            !is_linearizable(&[(1, 2, Store(1)), (3, 4, Delete), (5, 6, Read(Some(1)))]),
            "a deleted value came back"
        );
        let swap = |new| Swapped { expected: None, new };
        assert!(is_linearizable(&[(1, 5, swap(1)), (1, 5, Conflict { expected: None })]));
        assert!(!is_linearizable(&[(1, 5, swap(1)), (1, 5, swap(2))]), "two conditional stores won");
        assert!(!is_linearizable(&[(1, 2, Conflict { expected: None })]), "a conflict without a cause");
    }
}
