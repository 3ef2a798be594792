//! Concurrent reads of many items.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use cred_core::StorageError;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{AttemptError, Wire};

/// The effect of a definite error of one item on the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Only that item fails.
    OneItem,
    /// The whole read fails.
    AllItems,
}

impl Wire<'_> {
    /// Reads each item with `ask`, `at_once` of them at a time, and returns the results in the
    /// order of the items. A failed item does not affect the others.
    ///
    /// Each group of `at_once` items is one wire call with one attempt timeout. If items of a group
    /// are retried, the items that already have an answer, or a definite error, are not requested
    /// again.
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
            answers.extend(self.read_group(group, Failure::OneItem, &ask).await);
        }
        answers
    }

    /// Like [`read_each`](Self::read_each), but one failure fails the whole read: no further items
    /// are requested after it.
    ///
    /// # Errors
    /// The error of the first item that was found to fail.
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
            for answer in self.read_group(group, Failure::AllItems, &ask).await {
                answers.push(answer?);
            }
        }
        Ok(answers)
    }

    async fn read_group<'i, I, T, E, F, Fut>(
        &mut self,
        group: &'i [I],
        failure: Failure,
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
                let mut requests: FuturesUnordered<_> = {
                    let answered = lock();
                    let missing = group.iter().enumerate().filter(|(index, _)| !answered.contains_key(index));
                    missing
                        .map(|(index, item)| {
                            let answer = ask(item);
                            async move { (index, answer.await) }
                        })
                        .collect()
                };
                async move {
                    let mut transient = None;
                    // Each answer is stored when it arrives: if the attempt times out, only the
                    // missing items are requested again.
                    while let Some((index, answer)) = requests.next().await {
                        match answer {
                            Err(error) if error.storage_error().is_transient() => transient = Some(error),
                            Err(error) if failure == Failure::AllItems => return Err(error),
                            answer => drop(lock().insert(index, answer)),
                        }
                    }
                    transient.map_or(Ok(()), Err)
                }
            })
            .await;
        let failed = call.err().unwrap_or_else(|| E::from(StorageError::other("the item was not requested")));
        let mut answered = answered.into_inner().unwrap_or_else(PoisonError::into_inner);
        (0..group.len()).map(|index| answered.remove(&index).unwrap_or_else(|| Err(failed.clone()))).collect()
    }
}
