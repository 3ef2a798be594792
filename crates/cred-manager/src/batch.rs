//! Many credentials at once: bounded, in input order, each with an answer of its own.

use std::collections::HashMap;
use std::iter;

use cred_core::{Credential, CredentialId};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::cache::{Loaded, Miss};
use crate::observe::{observe_as, outcome_of_parts};
use crate::{CredentialManager, ManagerError};

/// One answer of a batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BatchItem<T> {
    /// The id, as it was given.
    pub id: CredentialId,
    /// The answer for this id.
    pub result: T,
}

impl CredentialManager {
    /// Stores many credentials,
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) at once. One call
    /// of the provider each.
    ///
    /// The answers are in input order; one failure touches its own slot alone. An id that is given
    /// twice is stored twice, in input order, so that the last one stands.
    ///
    /// # Cancellation
    /// Dropping the future begins no further item; those that have begun go on, as in
    /// [`store`](Self::store).
    pub async fn store_batch(
        &self,
        items: Vec<(CredentialId, Credential)>,
    ) -> Vec<BatchItem<Result<(), ManagerError>>> {
        let ids: Vec<CredentialId> = items.iter().map(|(id, _)| id.clone()).collect();
        let work = group(items).into_iter().map(|(id, items)| async move {
            let mut answers = Vec::with_capacity(items.len());
            for (slot, credential) in items {
                answers.push((slot, self.store(&id, credential).await));
            }
            answers
        });
        in_order(&ids, self.concurrently("store_batch", work, failure).await)
    }

    /// Deletes many credentials,
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) at once. One call
    /// of the provider for each different id.
    ///
    /// The answers are in input order; one failure touches its own slots alone.
    ///
    /// # Cancellation
    /// Dropping the future begins no further item; those that have begun go on, as in
    /// [`delete`](Self::delete).
    pub async fn delete_batch(&self, ids: &[CredentialId]) -> Vec<BatchItem<Result<(), ManagerError>>> {
        let groups = group_ids(ids);
        let work =
            groups.into_iter().map(|(id, slots)| async move { to_each(slots, self.delete(&id).await) });
        in_order(ids, self.concurrently("delete_batch", work, failure).await)
    }

    /// Reads many credentials. Those that are cached cost nothing; of the others each different id
    /// is loaded once, by calls of at most [`Description::batch`](cred_core::Description) ids, of
    /// which [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) are in
    /// flight.
    ///
    /// The answers are in input order; one failure touches its own slots alone, and absence is
    /// `Ok(None)`. Expired credentials are returned with a warning in the log, unless
    /// [`on_expired`](crate::CredentialManagerBuilder::on_expired) says otherwise.
    ///
    /// # Cancellation
    /// Dropping the future begins no further call; loads that have begun go on for others.
    pub async fn retrieve_batch(
        &self,
        ids: &[CredentialId],
    ) -> Vec<BatchItem<Result<Option<Credential>, ManagerError>>> {
        let groups = group_ids(ids);
        let batch = self.shared.batch();
        if batch == 1 {
            let load = |(id, slots)| async move { to_each(slots, self.retrieve_or_load(&id).await) };
            let work = groups.into_iter().map(load);
            return in_order(ids, self.concurrently("retrieve_batch", work, failure).await);
        }
        let (mut cached, mut missed) = (Vec::new(), Vec::new());
        for (id, slots) in groups {
            match self.shared.cache.as_ref().and_then(|cache| cache.get(self.path(&id))) {
                Some(credential) => {
                    self.shared.meter.cache("hit");
                    cached.extend(to_each(slots, Ok(Some(credential))));
                }
                None => missed.push((id, slots)),
            }
        }
        let parts = iter::once(Part::Cached(cached)).chain(chunks(missed, batch).map(Part::Missed));
        let load = |part| async move {
            let chunk = match part {
                Part::Cached(answers) => return answers,
                Part::Missed(chunk) => chunk,
            };
            answer_chunk(chunk, |ids| self.load_many(ids)).await
        };
        in_order(ids, self.concurrently("retrieve_batch", parts.map(load), failure).await)
    }

    /// As [`bounded`](Self::bounded), observed as one operation.
    pub(crate) async fn concurrently<T>(
        &self,
        operation: &'static str,
        work: impl Iterator<Item = impl Future<Output = Vec<(usize, T)>>>,
        failure: impl Fn(&T) -> Option<&ManagerError>,
    ) -> Vec<(usize, T)> {
        observe_as(operation, self, None, self.bounded(work), |answers: &Vec<(usize, T)>| {
            let failures = answers.iter().filter_map(|(_, answer)| failure(answer));
            outcome_of_parts(answers.len(), failures)
        })
        .await
    }

    /// Runs at most `batch_concurrency` of the futures at once and returns their answers together.
    /// A future that has not begun when the caller leaves does not begin.
    pub(crate) async fn bounded<T>(
        &self,
        work: impl Iterator<Item = impl Future<Output = Vec<T>>>,
    ) -> Vec<T> {
        let limit = self.shared.settings.batch_concurrency.get();
        let answers = stream::iter(work).buffer_unordered(limit).collect::<Vec<_>>().await;
        answers.into_iter().flatten().collect()
    }

    /// Loads different ids by one call of the provider, joining those that are under way; one
    /// answer for each.
    async fn load_many(&self, ids: Vec<CredentialId>) -> Vec<Loaded> {
        let shared = &self.shared;
        if let Err(closed) = shared.tasks.refuse_when_closed() {
            return ids.iter().map(|_| Err(closed.clone())).collect();
        }
        let Some(cache) = &shared.cache else {
            let fetches = shared.fetch_many(&ids, &self.context).await;
            let loaded = |(id, fetch)| Ok(shared.found(self.path(id), fetch)?.map(|found| found.credential));
            return ids.iter().zip(fetches).map(loaded).collect();
        };
        let (mut loads, mut waits, mut ends) = (Vec::new(), Vec::new(), None);
        for id in &ids {
            waits.push(match cache.share_or_start(self.path(id), ends) {
                Miss::Hit(credential) => {
                    shared.meter.cache("hit");
                    Err(credential)
                }
                Miss::Shared(result) => {
                    shared.meter.cache("joined");
                    Ok(result)
                }
                Miss::Start(load, result) => {
                    shared.meter.cache("miss");
                    // The others are loaded by the call of the first.
                    ends.get_or_insert(result.deadline);
                    loads.push(load);
                    Ok(result)
                }
            });
        }
        if let Err(closed) = shared.begin_loads(loads, self.context.clone()) {
            return ids.iter().map(|_| Err(closed.clone())).collect();
        }
        // All at once: their deadlines run side by side.
        let answers = ids.iter().zip(waits).map(|(id, wait)| async move {
            match wait {
                Ok(answer) => shared.result(answer, self.path(id)).await,
                Err(credential) => Ok(Some(credential)),
            }
        });
        join_all(answers).await
    }
}

fn failure<T>(answer: &Result<T, ManagerError>) -> Option<&ManagerError> {
    answer.as_ref().err()
}

/// A part of a batch of reads.
enum Part {
    Cached(Vec<(usize, Loaded)>),
    Missed(Vec<(CredentialId, Slots)>),
}

/// Where the answers of an id belong.
pub(crate) type Slots = Vec<(usize, ())>;

pub(crate) fn chunks<T>(items: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    iter::from_fn(move || {
        let chunk: Vec<T> = items.by_ref().take(size).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Puts what is said of one id together, with its places in the input; ids in the order of their
/// first appearance.
fn group<I>(items: impl IntoIterator<Item = (CredentialId, I)>) -> Vec<(CredentialId, Vec<(usize, I)>)> {
    let mut places: HashMap<CredentialId, usize> = HashMap::new();
    let mut groups: Vec<(CredentialId, Vec<(usize, I)>)> = Vec::new();
    for (slot, (id, item)) in items.into_iter().enumerate() {
        let place = *places.entry(id.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, items)) => items.push((slot, item)),
            None => groups.push((id, vec![(slot, item)])),
        }
    }
    groups
}

pub(crate) fn group_ids(ids: &[CredentialId]) -> Vec<(CredentialId, Slots)> {
    group(ids.iter().map(|id| (id.clone(), ())))
}

pub(crate) fn to_each<T: Clone>(slots: Slots, answer: T) -> Vec<(usize, T)> {
    slots.into_iter().map(|(slot, ())| (slot, answer.clone())).collect()
}

/// Answers a chunk by one function of all its ids, which gives one answer for each.
pub(crate) async fn answer_chunk<T: Clone, F: Future<Output = Vec<T>>>(
    chunk: Vec<(CredentialId, Slots)>,
    answer: impl FnOnce(Vec<CredentialId>) -> F,
) -> Vec<(usize, T)> {
    let (ids, slots): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
    let answers = answer(ids).await;
    answers.into_iter().zip(slots).flat_map(|(answer, slots)| to_each(slots, answer)).collect()
}

/// The answers in input order, each with its id; `answers` has one for each place in `ids`.
pub(crate) fn in_order<T>(ids: &[CredentialId], mut answers: Vec<(usize, T)>) -> Vec<BatchItem<T>> {
    answers.sort_unstable_by_key(|(slot, _)| *slot);
    let item = |(id, (_, result)): (&CredentialId, _)| BatchItem { id: id.clone(), result };
    ids.iter().zip(answers).map(item).collect()
}
