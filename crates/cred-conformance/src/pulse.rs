//! A stall, and whether the runtime goes on in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Harness;

const BEAT: Duration = Duration::from_millis(20);

/// So many beats in a row are not missed by chance: on a busy machine, who counts them comes as
/// late as who makes them.
const MISSED: u32 = 50;

/// A stall that a thread of its own holds. It lets go when this is ended or dropped, and when the
/// runtime stands still or the end does not come: then a thread of the runtime is blocked, and
/// nobody else could let go.
pub(crate) struct Stall {
    heart: JoinSet<()>,
    held: mpsc::Sender<()>,
    ended: mpsc::Receiver<Ended>,
}

pub(crate) struct Ended {
    /// A thread of the runtime was blocked.
    pub(crate) stood_still: bool,
    /// What [`Harness::stall`] said to letting go.
    pub(crate) let_go: bool,
}

impl Stall {
    /// The end has to come within `longest`. `None`: the harness says that it cannot.
    pub(crate) async fn begin(harness: &Arc<dyn Harness>, longest: Duration) -> Option<Self> {
        if !harness.stall(true).await {
            return None;
        }
        let (beats, mut heart) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let beating = Arc::clone(&beats);
        heart.spawn(async move {
            loop {
                beating.fetch_add(1, Ordering::Relaxed);
                sleep(BEAT).await;
            }
        });
        let (held, until) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let harness = Arc::clone(harness);
        std::thread::spawn(move || {
            let stood_still = stands_still(&beats, &until, longest);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let let_go = runtime.is_ok_and(|runtime| runtime.block_on(harness.stall(false)));
            // Nobody may ask any more: the clause has failed otherwise.
            let _ = end.send(Ended { stood_still, let_go });
        });
        Some(Self { heart, held, ended })
    }

    pub(crate) async fn end(self) -> Ended {
        let Self { heart, held, ended } = self;
        drop((heart, held));
        // A task that blocks keeps a paused clock from running on until the backend is let go. The
        // thread sends nothing if the harness panics.
        let ended = tokio::task::spawn_blocking(move || ended.recv().ok()).await.ok().flatten();
        ended.unwrap_or(Ended { stood_still: false, let_go: false })
    }
}

/// Returns when the runtime stands still, or when it is told to. With several threads, one that is
/// blocked shows only by an end that does not come.
fn stands_still(beats: &AtomicU64, until: &mpsc::Receiver<()>, longest: Duration) -> bool {
    let (began, mut last, mut missed) = (Instant::now(), 0, 0);
    while until.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        let now = beats.load(Ordering::Relaxed);
        missed = if now == last { missed + 1 } else { 0 };
        last = now;
        if missed == MISSED || began.elapsed() > longest {
            return true;
        }
    }
    false
}
