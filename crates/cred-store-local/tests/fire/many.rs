//! Lists of a large number of files.

use std::path::Path;
use std::time::{Duration, Instant};

use cred_core::{CredentialContext, CredentialFilter, StorageProvider as _, Timestamp};

use crate::sized;
use crate::worker::{open, runtime, store};

#[test]
fn a_list_of_very_many_files_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let provider = open(&base);
    let runtime = runtime();
    for path in ["key-0", "org:a/key-0"] {
        runtime.block_on(store(&provider, &path.parse().unwrap(), 1)).unwrap();
    }
    let mut existing = 1;
    for count in sized(vec![2_000], vec![10_000, 100_000]) {
        // Copies of one file, since storing each durably would take minutes. Some have names that
        // the provider must ignore.
        for number in existing..count {
            copy(&base.join("key-0.enc.json"), &base.join(format!("key-{number}.enc.json")));
            if number % 100 == 0 {
                copy(&base.join("key-0.enc.json"), &base.join(format!("Foreign {number}.enc.json")));
            }
        }
        existing = count;
        let ctx = CredentialContext::unscoped();
        let ids = timed(count, "list", || runtime.block_on(provider.list(None, &ctx)).unwrap());
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), count);
        let paths = timed(count, "list_tree", || runtime.block_on(provider.list_tree(None, &ctx)).unwrap());
        assert_eq!(paths.len(), count + 1);
        let all = CredentialFilter::new().with_created_before(Timestamp::from_unix_millis(2));
        let ids =
            timed(count, "filtered list", || runtime.block_on(provider.list(Some(&all), &ctx)).unwrap());
        assert_eq!(ids.len(), count);
        let none = CredentialFilter::new().with_created_after(Timestamp::from_unix_millis(2));
        assert_eq!(runtime.block_on(provider.list(Some(&none), &ctx)).unwrap(), []);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

fn timed<T>(count: usize, operation: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    let took = started.elapsed();
    println!("many: {operation} of {count}: {:.0} ms", took.as_secs_f64() * 1_000.0);
    assert!(took < Duration::from_secs(25), "the list took {took:?}");
    result
}
