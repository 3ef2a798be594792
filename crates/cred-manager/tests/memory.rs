//! The memory of large batches, and of no-cache windows and unresolved writes after they have
//! passed.
#![cfg(test)]

mod doubles;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{Consistency, Description, StorageProvider, Wrapper};
use cred_manager::CredentialManager;
use cred_store_memory::MemoryStorageProvider;
use doubles::backend::Backend;
use doubles::{id, keys, memory};
use tokio::time::sleep;

const LAG: Duration = Duration::from_secs(300);
const PATHS: usize = 20_000;

/// An empty store whose reads lag, without compare-and-set. Deleting from it takes no memory.
struct Lagging {
    memory: MemoryStorageProvider,
    description: Description,
}

impl Wrapper for Lagging {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.memory
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn passes_compare_and_set(&self) -> bool {
        false
    }
}

#[test]
fn expired_windows_use_no_memory() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let description = Description::new("lagging", Duration::from_secs(10))
        .with_consistency(Consistency::Eventual { point: LAG, list: LAG });
    let manager = CredentialManager::builder()
        .storage(Lagging { memory: memory(), description })
        .keys(keys())
        .cache_ttl(Duration::from_secs(60))
        .build();
    let write = |paths: std::ops::Range<usize>| {
        let written = allocation_counter::measure(|| {
            runtime.block_on(async {
                for path in paths {
                    manager.delete(&id(&path.to_string())).await.unwrap();
                }
            });
        });
        written.bytes_current
    };
    let before = write(0..1);
    let during = before + write(1..PATHS);
    runtime.block_on(async { sleep(LAG * 2).await });
    let after = during + write(0..1);
    println!("{} bytes for each path, {after} bytes of all later", during / i64::try_from(PATHS).unwrap());
    assert!(during > 100 * i64::try_from(PATHS).unwrap(), "{during} bytes: nothing was recorded");
    assert!(after < during / 100, "{after} of {during} bytes are kept");
}

/// A batch holds its ids, not their number for each call.
#[test]
fn the_memory_of_a_batch_grows_with_its_ids() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let backend = Backend::with_batch(Consistency::Strong, 20);
    let manager = CredentialManager::builder().storage(backend).keys(keys()).build();
    let peak = |count: usize| {
        let ids: Vec<_> = (0..count).map(|number| id(&number.to_string())).collect();
        let measured = allocation_counter::measure(|| {
            runtime.block_on(manager.retrieve_batch(&ids));
            runtime.block_on(manager.validate_batch(&ids));
        });
        measured.bytes_max
    };
    let (some, many) = (peak(1_000), peak(8_000));
    assert!(many < 12 * some, "{some} bytes for 1,000 ids, {many} for 8,000");
}

#[test]
fn reads_free_the_memory_of_resolved_writes() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let description = Description::new("lagging", Duration::from_secs(10))
        .with_consistency(Consistency::Eventual { point: LAG, list: LAG });
    let storage = Arc::new(Lagging { memory: memory(), description });
    let manager = CredentialManager::builder().storage(storage).keys(keys()).build();
    let write = |path: usize| {
        runtime.block_on(async { manager.delete(&id(&path.to_string())).await.unwrap() });
    };
    write(0);
    let kept = allocation_counter::measure(|| (1..PATHS).for_each(write)).bytes_current;
    let read = allocation_counter::measure(|| {
        runtime.block_on(async {
            sleep(LAG * 2).await;
            assert!(manager.retrieve(&id("0")).await.unwrap().is_none());
        });
    });
    assert!(kept > 100 * i64::try_from(PATHS).unwrap(), "{kept} bytes: nothing was recorded");
    assert!(-read.bytes_current > kept * 99 / 100, "of {kept} bytes: {}", read.bytes_current);
}
