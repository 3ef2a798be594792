//! Whether a history of calls could have happened to one register, one call after another.

use std::collections::{BTreeMap, HashSet};

/// What a client asked for and was answered. Values are numbers that are written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    Read(Option<u64>),
    Store(u64),
    Delete,
    /// Stored where `expected` was.
    Swapped {
        expected: Option<u64>,
        new: u64,
    },
    /// Refused, since something else than `expected` was there.
    Refused {
        expected: Option<u64>,
    },
}

/// One call; moments are those of a clock that all processes share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) did: Did,
}

/// A register's value, and which of the calls that are under way have taken effect.
type State = (Option<u64>, u64);

/// The first call that no order explains; `None`: all are explained.
///
/// Follows the history from moment to moment with all states that are possible. A call takes effect
/// at one moment between its begin and its end, so when it ends only those states remain in which
/// it has.
pub(crate) fn violation(history: &[Record]) -> Option<Record> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (index, record) in history.iter().enumerate() {
        events.push((record.began, false, index));
        // Of equal moments the begin is first: then both orders are possible.
        events.push((record.ended, true, index));
    }
    events.sort_unstable();
    let mut states: HashSet<State> = HashSet::from([(None, 0)]);
    // The calls under way, by their bit.
    let mut pending: BTreeMap<u32, usize> = BTreeMap::new();
    for (_, ends, index) in events {
        if !ends {
            let free = (0..64).find(|bit| !pending.contains_key(bit)).expect("at most 64 clients");
            pending.insert(free, index);
            continue;
        }
        let bit = *pending.iter().find(|(_, call)| **call == index).expect("it began").0;
        // All that can be reached by letting calls under way take effect, until this one has.
        let mut open: Vec<State> = states.drain().collect();
        let mut seen: HashSet<State> = open.iter().copied().collect();
        while let Some((value, done)) = open.pop() {
            if done & (1 << bit) != 0 {
                states.insert((value, done & !(1 << bit)));
                continue;
            }
            for (bit, call) in &pending {
                if done & (1 << bit) == 0
                    && let Some(after) = effect(history[*call].did, value)
                {
                    let next = (after, done | (1 << bit));
                    if seen.insert(next) {
                        open.push(next);
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

/// The value afterwards; `None`: it cannot have been answered so at this value.
fn effect(did: Did, value: Option<u64>) -> Option<Option<u64>> {
    match did {
        Did::Read(found) => (found == value).then_some(value),
        Did::Store(new) => Some(Some(new)),
        Did::Delete => Some(None),
        Did::Swapped { expected, new } => (expected == value).then_some(Some(new)),
        Did::Refused { expected } => (expected != value).then_some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(history: &[(u64, u64, Did)]) -> bool {
        let records: Vec<_> =
            history.iter().map(|&(began, ended, did)| Record { began, ended, did }).collect();
        violation(&records).is_none()
    }

    #[test]
    fn calls_that_overlap_may_take_effect_in_either_order() {
        use Did::*;
        assert!(explained(&[(1, 5, Store(1)), (2, 3, Read(None)), (4, 6, Read(Some(1)))]));
        assert!(explained(&[(1, 9, Store(1)), (1, 9, Store(2)), (10, 11, Read(Some(1)))]));
        assert!(explained(&[(1, 2, Store(1)), (3, 8, Delete), (4, 5, Read(None)), (6, 7, Read(None))]));
    }

    #[test]
    fn what_no_order_explains_is_found() {
        use Did::*;
        assert!(!explained(&[(1, 2, Store(1)), (3, 4, Read(None))]), "lost");
        assert!(!explained(&[(1, 2, Store(1)), (3, 4, Store(2)), (5, 6, Read(Some(1)))]), "stale");
        assert!(!explained(&[(3, 4, Store(1)), (1, 2, Read(Some(1)))]), "from the future");
        assert!(!explained(&[(1, 9, Store(1)), (2, 3, Read(Some(1))), (4, 5, Read(None))]), "back and forth");
        assert!(!explained(&[(1, 2, Store(1)), (3, 4, Delete), (5, 6, Read(Some(1)))]), "undead");
        let swap = |new| Swapped { expected: None, new };
        assert!(explained(&[(1, 5, swap(1)), (1, 5, Refused { expected: None })]));
        assert!(!explained(&[(1, 5, swap(1)), (1, 5, swap(2))]), "both won");
        assert!(!explained(&[(1, 2, Refused { expected: None })]), "refused without a reason");
    }
}
