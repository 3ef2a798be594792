use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use cred_core::Operation;

use super::*;

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// How often each item was requested.
#[derive(Default)]
struct RequestCounts(Mutex<BTreeMap<u32, u32>>);

impl RequestCounts {
    /// Counts a request, and returns its number for the item.
    fn count(&self, item: u32) -> u32 {
        let mut requests = self.0.lock().unwrap();
        let count = requests.entry(item).or_default();
        *count += 1;
        *count
    }

    fn counts(&self) -> Vec<(u32, u32)> {
        self.0.lock().unwrap().clone().into_iter().collect()
    }
}

/// Item 2 fails once and then succeeds; 3 is denied; 4 hangs forever; all others succeed at once.
async fn answer(requests: &RequestCounts, item: u32) -> StorageResult<u32> {
    match (item, requests.count(item)) {
        (2, 1) => Err(StorageError::busy("once")),
        (3, _) => Err(StorageErrorKind::PermissionDenied { reason: "no".into() }.into()),
        (4, _) => std::future::pending().await,
        _ => Ok(item * 10),
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_that_was_answered_is_not_requested_again() {
    let (requests, items) = (RequestCounts::default(), [1, 2, 3, 4, 5]);
    let answers = executor()
        .sequence(Operation::List, TargetRef::Scope(None), async |wire| {
            Ok(wire.read_each(&items, TWO, |item| answer(&requests, *item)).await)
        })
        .await
        .unwrap();
    assert_eq!(answers[0].as_ref().unwrap(), &10);
    assert_eq!(answers[1].as_ref().unwrap(), &20, "the second attempt");
    assert!(matches!(answers[2].as_ref().unwrap_err().kind(), StorageErrorKind::PermissionDenied { .. }));
    assert!(matches!(answers[3].as_ref().unwrap_err().kind(), StorageErrorKind::Timeout { .. }));
    assert_eq!(answers[4].as_ref().unwrap(), &50, "the groups after a failure are read");
    // 4 was requested six times, by the retry policy; 3, which is in its group, once.
    assert_eq!(requests.counts(), [(1, 1), (2, 2), (3, 1), (4, 6), (5, 1)]);
}

#[tokio::test(start_paused = true)]
async fn read_all_requests_nothing_after_a_failure() {
    let (requests, items) = (RequestCounts::default(), [1, 2, 4, 3, 5]);
    let error = executor()
        .sequence(Operation::List, TargetRef::Scope(None), async |wire| {
            wire.read_all(&items, TWO, |item| answer(&requests, *item)).await
        })
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
    assert_eq!(
        requests.counts(),
        [(1, 1), (2, 2), (3, 1), (4, 1)],
        "4 was in the group of 3, and was not waited for"
    );
}
