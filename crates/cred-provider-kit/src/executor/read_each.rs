//! Reads of many items, some at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use cred_core::StorageError;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{AttemptError, Wire};

/// What a definite error of one item means for the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It is the answer of that item alone.
    OfOne,
    /// The whole ends in it.
    OfAll,
}

impl Wire<'_> {
    /// Reads each item by `ask`, `at_once` of them at a time, and gives the answers in their order.
    /// An item that fails, fails alone.
    ///
    /// The items of one time are one wire call with one attempt timeout. An item that was answered,
    /// also by a definite error, is not asked for again when others of its call are tried again.
    pub async fn read_each<'i, I, T, E, F, Fut>(
        &mut self,
        items: &'i [I],
        at_once: NonZeroUsize,
        ask: F,
    ) -> Vec<Result<T, E>>
    where
        I: Sync,
        T: Send,
        E: AttemptError + Clone,
        F: Fn(&'i I) -> Fut + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let mut answers = Vec::with_capacity(items.len());
        for group in items.chunks(at_once.get()) {
            answers.extend(self.read_group(group, Refusal::OfOne, &ask).await);
        }
        answers
    }

    /// As [`read_each`](Self::read_each), where one failure fails the whole: what comes after it is
    /// not asked for any more.
    ///
    /// # Errors
    /// That of the first item found to fail.
    pub async fn read_all<'i, I, T, E, F, Fut>(
        &mut self,
        items: &'i [I],
        at_once: NonZeroUsize,
        ask: F,
    ) -> Result<Vec<T>, E>
    where
        I: Sync,
        T: Send,
        E: AttemptError + Clone,
        F: Fn(&'i I) -> Fut + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let mut answers = Vec::with_capacity(items.len());
        for group in items.chunks(at_once.get()) {
            for answer in self.read_group(group, Refusal::OfAll, &ask).await {
                answers.push(answer?);
            }
        }
        Ok(answers)
    }

    async fn read_group<'i, I, T, E, F, Fut>(
        &mut self,
        group: &'i [I],
        refusal: Refusal,
        ask: &F,
    ) -> Vec<Result<T, E>>
    where
        I: Sync,
        T: Send,
        E: AttemptError + Clone,
        F: Fn(&'i I) -> Fut + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
    {
        let answered = Mutex::new(BTreeMap::new());
        let lock = || answered.lock().unwrap_or_else(PoisonError::into_inner);
        let call = self
            .read(|_| {
                let mut asked: FuturesUnordered<_> = {
                    let answered = lock();
                    let open = group.iter().enumerate().filter(|(index, _)| !answered.contains_key(index));
                    open.map(|(index, item)| {
                        let answer = ask(item);
                        async move { (index, answer.await) }
                    })
                    .collect()
                };
                async move {
                    let mut transient = None;
                    // Each answer is kept as it comes: when the time of the attempt runs out, only
                    // the others are asked for again.
                    while let Some((index, answer)) = asked.next().await {
                        match answer {
                            Err(error) if error.storage_error().is_transient() => transient = Some(error),
                            Err(error) if refusal == Refusal::OfAll => return Err(error),
                            answer => drop(lock().insert(index, answer)),
                        }
                    }
                    transient.map_or(Ok(()), Err)
                }
            })
            .await;
        let failed = call.err().unwrap_or_else(|| E::from(StorageError::other("it was not asked for")));
        let mut answered = answered.into_inner().unwrap_or_else(PoisonError::into_inner);
        (0..group.len()).map(|index| answered.remove(&index).unwrap_or_else(|| Err(failed.clone()))).collect()
    }
}
