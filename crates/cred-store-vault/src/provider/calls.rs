//! The calls of one operation: each with a token, and told truly.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use cred_core::StorageError;
use cred_provider_kit::Wire;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Inner;
use crate::auth::Session;
use crate::error::{Failure, Meaning};

/// Calls in flight of one listing.
const AT_ONCE: usize = 16;

/// The wire calls of one operation, with the token that each needs.
pub(super) struct Calls<'c, 'e> {
    pub(super) inner: &'c Inner,
    pub(super) wire: &'c mut Wire<'e>,
}

impl Calls<'_, '_> {
    /// Makes a call that changes nothing.
    pub(super) async fn read<T, F, Fut>(&mut self, ask: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> Fut + Sync,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let mut exchanged = false;
        loop {
            let session = self.session().await?;
            // A definite answer is an answer to the executor: it is not tried again, and keeps what it means.
            let answer = self.wire.read(|_| definite(ask(Arc::clone(&session)))).await;
            match answer.map_err(Failure::from).and_then(|answer| answer) {
                Err(failure) if !exchanged && self.exchanges(&failure, &session) => exchanged = true,
                answer => return answer,
            }
        }
    }

    /// Makes a call that changes something and bears being sent twice. Where every attempt was refused before anything was
    /// done, nothing is in doubt.
    pub(super) async fn write<T, F, Fut>(&mut self, ask: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> Fut + Sync,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let mut exchanged = false;
        loop {
            let session = self.session().await?;
            let doubted = self.wire.in_doubt();
            // Attempts that were sent and not refused. One that times out is dropped, so it is counted when it begins.
            let open = AtomicU32::new(0);
            let answer = self
                .wire
                .write(|_| {
                    open.fetch_add(1, Ordering::Relaxed);
                    let answer = ask(Arc::clone(&session));
                    let open = &open;
                    definite(async move {
                        let answer = answer.await;
                        if answer.as_ref().err().is_some_and(Failure::nothing_written) {
                            open.fetch_sub(1, Ordering::Relaxed);
                        }
                        answer
                    })
                })
                .await;
            if !doubted && open.load(Ordering::Relaxed) == 0 {
                self.wire.settle();
            }
            match answer.map_err(Failure::from).and_then(|answer| answer) {
                Err(failure) if !exchanged && self.exchanges(&failure, &session) => exchanged = true,
                answer => return answer,
            }
        }
    }

    /// Makes a reading call for each item, some at once. To the executor those are one call with one timeout; what was
    /// answered in it is not asked again.
    pub(super) async fn read_each<I, T, F, Fut>(&mut self, items: &[I], ask: F) -> Result<Vec<T>, Failure>
    where
        I: Sync,
        T: Send,
        F: Fn(Arc<Session>, usize) -> Fut + Sync,
        Fut: Future<Output = Result<T, Failure>> + Send,
    {
        let mut answers = Vec::with_capacity(items.len());
        let mut begin = 0;
        while begin < items.len() {
            let end = items.len().min(begin + AT_ONCE);
            let answered = Mutex::new(BTreeMap::new());
            let lock = || answered.lock().unwrap_or_else(PoisonError::into_inner);
            self.read(|session| {
                let open: Vec<_> = (begin..end).filter(|index| !lock().contains_key(index)).collect();
                let mut asked: FuturesUnordered<_> = open
                    .into_iter()
                    .map(|index| {
                        let answer = ask(Arc::clone(&session), index);
                        async move { (index, answer.await) }
                    })
                    .collect();
                let lock = &lock;
                async move {
                    let mut transient = None;
                    // Each is put away as it comes: when the time of the call runs out, only the others are asked again.
                    while let Some((index, answer)) = asked.next().await {
                        match answer {
                            Ok(answer) => drop(lock().insert(index, answer)),
                            Err(failure) if failure.error.is_transient() => transient = Some(failure),
                            // Another attempt would end in it too.
                            Err(failure) => return Err(failure),
                        }
                    }
                    transient.map_or(Ok(()), Err)
                }
            })
            .await?;
            answers.extend(answered.into_inner().unwrap_or_else(PoisonError::into_inner).into_values());
            begin = end;
        }
        Ok(answers)
    }

    /// A token. A login is a call of its own: what it fails with leaves no doubt about a write that was never sent.
    async fn session(&mut self) -> Result<Arc<Session>, StorageError> {
        match self.inner.auth.current() {
            Some(session) => Ok(session),
            None => self.wire.read(|_| self.inner.auth.session()).await,
        }
    }

    /// Whether the call is to be made again with another token.
    fn exchanges(&self, failure: &Failure, session: &Session) -> bool {
        failure.meaning == Meaning::TokenInvalid && self.inner.auth.give_up(session)
    }
}

/// Lets the executor see only what it may try again.
async fn definite<T>(
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<Result<T, Failure>, StorageError> {
    match call.await {
        Err(failure) if failure.error.is_transient() => Err(failure.error),
        answer => Ok(answer),
    }
}
