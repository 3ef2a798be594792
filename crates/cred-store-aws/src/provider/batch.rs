//! Reads of several secrets at once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::Wire;
use futures_util::future::join_all;

use super::Inner;
use crate::client::Client;
use crate::error::is_about_state;

/// Calls of one operation in flight: of those that read one secret, and of those that read twenty.
const SINGLES_AT_ONCE: usize = 16;
const BATCHES_AT_ONCE: usize = 5;

type Answers<'n> = BTreeMap<&'n str, Result<String, StorageError>>;

impl Inner {
    /// The current values of these names, in their order. What is given twice is asked for once.
    pub(super) async fn values(
        &self,
        wire: &mut Wire<'_>,
        names: &[String],
    ) -> Vec<Result<String, StorageError>> {
        let unique: BTreeSet<_> = names.iter().map(String::as_str).collect();
        let mut answers = Answers::new();
        if unique.len() > 1 && !self.single.load(Ordering::Relaxed) {
            self.batches(wire, &unique, &mut answers).await;
        }
        self.singles(wire, &unique, &mut answers).await;
        let answer = |name: &String| answers.get(name.as_str()).cloned();
        names.iter().map(|name| answer(name).unwrap_or_else(|| Err(unanswered()))).collect()
    }

    /// Asks for twenty at once. What is not in the answers, or is refused for a reason that must be looked into, stays open.
    async fn batches<'n>(&self, wire: &mut Wire<'_>, names: &BTreeSet<&'n str>, answers: &mut Answers<'n>) {
        let names: Vec<_> = names.iter().copied().collect();
        let chunks: Vec<_> = names.chunks(Client::BATCH).collect();
        let batches = each(wire, &chunks, BATCHES_AT_ONCE, |chunk| self.client.values(chunk)).await;
        for (chunk, batch) in chunks.into_iter().zip(batches) {
            match batch {
                Ok(batch) => {
                    for answered in batch {
                        let name = chunk.iter().find(|name| **name == answered.name);
                        let open = answered
                            .value
                            .as_ref()
                            .is_err_and(|error| is_about_state(error) || error.is_transient());
                        if let (Some(name), false) = (name, open) {
                            answers.insert(name, answered.value);
                        }
                    }
                }
                // It was tried often enough, or there is no time left.
                Err(error) if error.is_transient() => {
                    answers.extend(chunk.iter().map(|name| (*name, Err(error.clone()))));
                }
                Err(error) => {
                    if matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }) {
                        self.single.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Asks for what is still open, one by one.
    async fn singles<'n>(&self, wire: &mut Wire<'_>, names: &BTreeSet<&'n str>, answers: &mut Answers<'n>) {
        let open: Vec<_> = names.iter().copied().filter(|name| !answers.contains_key(name)).collect();
        let values = each(wire, &open, SINGLES_AT_ONCE, |name| self.client.value(name)).await;
        answers.extend(open.iter().copied().zip(values));
        let refused: Vec<_> = open
            .into_iter()
            .filter(|name| answers.get(name).is_some_and(|answer| answer.as_ref().is_err_and(is_about_state)))
            .collect();
        let described = each(wire, &refused, SINGLES_AT_ONCE, |name| self.client.describe(name)).await;
        for (name, described) in refused.into_iter().zip(described) {
            match described {
                Ok(Some(secret)) if !secret.scheduled => {}
                Ok(_) => drop(answers.insert(name, Err(StorageErrorKind::NotFound.into()))),
                Err(error) => drop(answers.insert(name, Err(error))),
            }
        }
    }
}

/// Makes a reading call for each item, some at once, and gives their answers in order. Those that were answered, or refused
/// for good, are not asked again; those that were not answered have the error of the last attempt.
async fn each<I, T, Fut>(
    wire: &mut Wire<'_>,
    items: &[I],
    at_once: usize,
    ask: impl Fn(I) -> Fut,
) -> Vec<Result<T, StorageError>>
where
    I: Copy,
    Fut: Future<Output = Result<T, StorageError>>,
{
    let mut answers = Vec::with_capacity(items.len());
    for group in items.chunks(at_once) {
        let answered = Mutex::new(BTreeMap::new());
        let lock = || answered.lock().unwrap_or_else(PoisonError::into_inner);
        // Each answer is put away as it comes: when the attempt's time runs out, only the others are asked for again.
        let put = async |index, answer: Fut| match answer.await {
            Err(error) if error.is_transient() => Some(error),
            answer => {
                lock().insert(index, answer);
                None
            }
        };
        let group_answer = wire
            .read(|_| {
                let open = group.iter().enumerate().filter(|(index, _)| !lock().contains_key(index));
                let asked = join_all(open.map(|(index, item)| put(index, ask(*item))));
                async move { asked.await.into_iter().flatten().next_back().map_or(Ok(()), Err) }
            })
            .await;
        let failure = group_answer.err().unwrap_or_else(unanswered);
        let mut answered = answered.into_inner().unwrap_or_else(PoisonError::into_inner);
        let answer = |index| answered.remove(&index).unwrap_or_else(|| Err(failure.clone()));
        answers.extend((0..group.len()).map(answer));
    }
    answers
}

fn unanswered() -> StorageError {
    StorageError::other("it was asked for and not answered")
}
