//! These tests use tokio's paused clock: waits are exact and take no time.

mod doubt;
mod dropped;
mod read_each;
mod record;
mod retry;
mod sequence;
mod time;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use cred_core::{CredentialPath, RetryPolicy, StorageError, StorageErrorKind, StorageResult};
use tokio::time::Instant;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// 5 s per attempt, 60 s per operation, no randomness: waits of 100, 200, 400, 800 and 1,600 ms.
fn executor() -> Executor {
    bounded(60 * S)
}

fn bounded(operation_timeout: Duration) -> Executor {
    Executor::new(Description::new("double", operation_timeout), 5 * S).with_random(|| 0.5)
}

fn no_retries(executor: Executor) -> Executor {
    executor.with_retry_policy(RetryPolicy::default().with_max_retries(0))
}

impl Executor {
    /// An operation of one wire call.
    async fn run<'t, T, F, Fut>(
        &self,
        operation: Operation,
        target: impl Into<TargetRef<'t>>,
        attempt: F,
    ) -> StorageResult<T>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = StorageResult<T>>,
    {
        let body = async |wire: &mut Wire<'_>| match operation.is_write() {
            true => wire.write(attempt).await,
            false => wire.read(attempt).await,
        };
        self.sequence(operation, target, body).await
    }
}

fn path() -> CredentialPath {
    "org:acme/stripe".parse().unwrap()
}

/// A backend that sends scripted replies, and repeats the last one forever.
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    started: Instant,
    /// When each call was sent, since the start.
    sent: Mutex<Vec<Duration>>,
}

#[derive(Debug, Clone)]
enum Reply {
    Ok,
    Fail(StorageErrorKind),
    /// Replies after a delay.
    After(Duration, Box<Reply>),
    Hang,
}

impl Script {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            replies: Mutex::new(replies.into_iter().collect()),
            started: Instant::now(),
            sent: Mutex::default(),
        }
    }

    async fn call(&self) -> StorageResult<()> {
        self.sent.lock().unwrap().push(self.started.elapsed());
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() }
        };
        let reply = match reply.unwrap() {
            Reply::After(delay, reply) => {
                tokio::time::sleep(delay).await;
                *reply
            }
            reply => reply,
        };
        match reply {
            Reply::Ok => Ok(()),
            Reply::Fail(kind) => Err(kind.into()),
            Reply::Hang | Reply::After(..) => std::future::pending().await,
        }
    }

    /// When each call was sent, in milliseconds since the start.
    fn sent_ms(&self) -> Vec<u128> {
        self.sent.lock().unwrap().iter().map(Duration::as_millis).collect()
    }

    fn elapsed_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }
}

fn unreachable() -> Reply {
    Reply::Fail(StorageErrorKind::Unreachable { reason: "refused".into() })
}

fn unavailable(retry_after: Option<Duration>) -> Reply {
    Reply::Fail(StorageErrorKind::Unavailable { reason: "503".into(), retry_after })
}

fn throttled(retry_after: Option<Duration>) -> Reply {
    Reply::Fail(StorageErrorKind::Throttled { retry_after })
}

fn denied() -> Reply {
    Reply::Fail(StorageErrorKind::PermissionDenied { reason: "no".into() })
}

fn is_in_doubt(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::InDoubt { .. })
}

/// Errors that prove that nothing was written.
fn definite() -> Vec<StorageErrorKind> {
    let reason = || "no".into();
    vec![
        StorageErrorKind::NotFound,
        StorageErrorKind::TooLarge { size: 2, limit: 1 },
        StorageErrorKind::PermissionDenied { reason: reason() },
        StorageErrorKind::AuthenticationFailed { reason: reason() },
        StorageErrorKind::Conflict { reason: reason() },
        StorageErrorKind::DiskFull,
        StorageErrorKind::ReadOnly { reason: reason() },
        StorageErrorKind::InvalidRequest { reason: reason() },
        StorageErrorKind::Unsupported { what: reason() },
        StorageErrorKind::ShutDown,
    ]
}
