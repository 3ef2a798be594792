//! After eviction, clearing and shutdown no secret is left in this process's memory.
//!
//! The memory is searched through `/proc/self/mem`; a control leaks a secret and must be found.
#![cfg(target_os = "linux")]
#![cfg(test)]

mod doubles;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use cred_core::{Credential, SecretSlice, field};
use cred_manager::CredentialManager;
use doubles::{id, keys, memory};

/// A secret that is nowhere in the program's image: made here, kept XORed.
struct Pattern([u8; 32]);

impl Pattern {
    const MASK: u8 = 0xa5;

    fn new() -> Self {
        let mut masked = [0; 32];
        masked.fill_with(|| fastrand::u8(..));
        Self(masked)
    }

    fn reveal(&self) -> SecretSlice<u8> {
        SecretSlice::new(self.0.iter().map(|byte| byte ^ Self::MASK).collect::<Box<[u8]>>())
    }

    /// How often it occurs in memory.
    fn count(&self) -> usize {
        let (maps, memory) = (File::open("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
        let (mut found, mut chunk) = (0, vec![0_u8; 1 << 20]);
        for line in BufReader::new(maps).lines().map(Result::unwrap) {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next().unwrap(), words.next().unwrap());
            if !rights.starts_with("rw") || line.ends_with("[vvar]") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (mut at, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            while at < to {
                let len = chunk.len().min(usize::try_from(to - at).unwrap());
                // The buffer of this search is not counted as well: the needle is compared masked.
                let Ok(read @ 1..) = memory.read_at(&mut chunk[..len], at) else { break };
                chunk[..read].iter_mut().for_each(|byte| *byte ^= Self::MASK);
                found += chunk[..read].windows(32).filter(|window| *window == self.0).count();
                chunk[..read].fill(0);
                at += if read == len && at + (len as u64) < to { read as u64 - 32 } else { read as u64 };
            }
        }
        found
    }
}

#[tokio::test]
async fn an_evicted_secret_is_not_left_in_memory() {
    let manager = CredentialManager::builder()
        .storage(memory())
        .keys(keys())
        .cache_ttl(Duration::from_secs(600))
        .cache_max_size(40)
        .build();
    let secret = Pattern::new();
    let cached = id("secret");
    manager.store(&cached, Credential::opaque(secret.reveal())).await.unwrap();
    assert_eq!(
        manager.retrieve(&cached).await.unwrap().unwrap().expose_bytes(field::VALUE).unwrap().len(),
        32
    );
    assert!(secret.count() >= 1, "the control: what is cached is found");

    for number in 0..400 {
        let other = id(&number.to_string());
        manager.store(&other, Credential::text("x")).await.unwrap();
        // Twice, so that it counts as hot and pushes the secret out.
        manager.retrieve(&other).await.unwrap();
        manager.retrieve(&other).await.unwrap();
    }
    assert!(manager.cache_stats().unwrap().evictions >= 300);
    assert_eq!(secret.count(), 0, "left after its eviction");

    manager.retrieve(&cached).await.unwrap();
    assert!(secret.count() >= 1);
    manager.clear_cache().unwrap();
    assert_eq!(secret.count(), 0, "left after the cache was cleared");

    manager.retrieve(&cached).await.unwrap();
    manager.shutdown().await.unwrap();
    assert_eq!(secret.count(), 0, "left after the shutdown");

    let leaked = Box::leak(Box::<[u8]>::from(cred_core::ExposeSecret::expose_secret(&secret.reveal())));
    assert!(secret.count() >= 1, "the control: a leak of {} bytes is found", leaked.len());
}
