//! The manager under everything at once, for long: readers, writers, deletes, batches, dropped
//! futures, re-keys, evictions and shutdowns, over local files and over a provider that lags,
//! refuses, loses responses and hangs.
//!
//! Time is cut into *lives*: a manager is made, used, shut down in the middle of its work and
//! dropped; then everything is read by another one, and the process is measured. The checks:
//!
//! - every read shows the latest write that was acknowledged when it began, or a later one;
//! - after each life, no acknowledged write is lost;
//! - once warm, neither memory nor open files nor tasks grow.
//!
//! `cargo xtask soak` runs it; `CRED_SOAK_MINUTES` sets for how long; the default is an
//! hour.
#![cfg(test)]

mod faulty;
mod figures;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cred_core::StorageProvider;
use cred_store_local::{LocalStorageConfig, LocalStorageProvider};

use crate::faulty::Faulty;
use crate::figures::{Figures, Growth};
use crate::world::World;

/// How long a manager lives.
const LIFE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes an hour: cargo xtask soak"]
async fn nothing_is_lost_and_nothing_grows() {
    let minutes = std::env::var("CRED_SOAK_MINUTES").map_or(60, |text| text.parse::<u32>().unwrap());
    let (start, time) = (Instant::now(), Duration::from_secs(60) * minutes);
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("store");
    let local = move || -> Arc<dyn StorageProvider> {
        let config = LocalStorageConfig::default().with_base_path(&base);
        Arc::new(LocalStorageProvider::new(config).unwrap())
    };
    // Its contents outlive each provider, as a server's do.
    let memory = Faulty::memory();
    let faulty = move || -> Arc<dyn StorageProvider> { Arc::new(Faulty::over(Arc::clone(&memory))) };
    let worlds = [("local", World::new(local)), ("faulty", World::new(faulty))];

    let mut growth = Growth::default();
    let mut life = 0;
    while start.elapsed() < time {
        life += 1;
        let until = tokio::time::Instant::now() + LIFE.min(time);
        let lives = worlds.iter().map(|(_, world)| Arc::clone(world).live(life, until));
        futures_util::future::join_all(lives).await;
        growth.add(Figures::now().await);
        if life % 6 == 1 {
            tell(start, &worlds, &growth);
        }
    }
    tell(start, &worlds, &growth);
    for (name, world) in &worlds {
        assert_eq!(world.broken(), [] as [String; 0], "{name}");
        world.has_tried_everything(name);
    }
    growth.judge();
}

fn tell(start: Instant, worlds: &[(&str, Arc<World>)], growth: &Growth) {
    let counts: Vec<_> = worlds.iter().map(|(name, world)| format!("{name}: {}", world.counts())).collect();
    println!("soak: {:>5} s; {}; {}", start.elapsed().as_secs(), counts.join("; "), growth.latest());
}
