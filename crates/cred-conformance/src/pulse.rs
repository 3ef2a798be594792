//! A stall of the backend, and a check whether the runtime still runs during it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Harness;

const BEAT: Duration = Duration::from_millis(20);

/// The number of consecutive missed heartbeats after which the runtime counts as blocked. A busy
/// machine does not reach it, since it delays the counting thread as much as the heartbeat task.
const MISSED: u32 = 50;

/// A stall that a separate thread controls. The thread ends the stall when this is ended or
/// dropped, and also when the heartbeat stops or the end is overdue: then a thread of the runtime
/// is blocked, and no task could end the stall.
pub(crate) struct Stall {
    heartbeat: JoinSet<()>,
    held: mpsc::Sender<()>,
    report: mpsc::Receiver<StallReport>,
}

pub(crate) struct StallReport {
    /// A thread of the runtime was blocked.
    pub(crate) was_blocked: bool,
    /// The result of [`Harness::stall`] when the stall was ended.
    pub(crate) resumed: bool,
}

impl Stall {
    /// Starts a stall, which must be ended within `longest`. `None`: the harness does not support
    /// stalls.
    pub(crate) async fn begin(harness: &Arc<dyn Harness>, longest: Duration) -> Option<Self> {
        if !harness.stall(true).await {
            return None;
        }
        let (beats, mut heartbeat) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let counter = Arc::clone(&beats);
        heartbeat.spawn(async move {
            loop {
                counter.fetch_add(1, Ordering::Relaxed);
                sleep(BEAT).await;
            }
        });
        let (held, until) = mpsc::channel();
        let (sender, report) = mpsc::channel();
        let harness = Arc::clone(harness);
        std::thread::spawn(move || {
            let was_blocked = is_blocked(&beats, &until, longest);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let resumed = runtime.is_ok_and(|runtime| runtime.block_on(harness.stall(false)));
            // The receiver is gone if the clause has already failed.
            let _ = sender.send(StallReport { was_blocked, resumed });
        });
        Some(Self { heartbeat, held, report })
    }

    pub(crate) async fn end(self) -> StallReport {
        let Self { heartbeat, held, report } = self;
        drop((heartbeat, held));
        // A blocking task stops a paused clock from advancing until the stall has ended. The thread
        // sends nothing if the harness panics.
        let report = tokio::task::spawn_blocking(move || report.recv().ok()).await.ok().flatten();
        report.unwrap_or(StallReport { was_blocked: false, resumed: false })
    }
}

/// Waits until the stall is ended (`false`), or a thread of the runtime is blocked (`true`). On a
/// runtime with several threads, a blocked one is detected only when the end is overdue.
fn is_blocked(beats: &AtomicU64, until: &mpsc::Receiver<()>, longest: Duration) -> bool {
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
