//! Batches: operations on many credentials with bounded concurrency. The results are in input
//! order, one for each item.

use std::collections::HashMap;
use std::iter;

use cred_core::{Credential, CredentialId};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::cache::{Loaded, Miss};
use crate::observe::{observe_as, outcome_of_parts};
use crate::{CredentialManager, ManagerError};

/// The result for one item of a batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BatchItem<T> {
    /// The id from the input.
    pub id: CredentialId,
    /// The result for this id.
    pub result: T,
}

impl CredentialManager {
    /// Stores many credentials,
    /// [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) at once. One call
    /// of the provider for each.
    ///
    /// The results are in input order, and a failure affects only its own item. An id that occurs
    /// twice is stored twice, in input order, so that the last value stays.
    ///
    /// ```
    /// # use cred_core::Credential;
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let items = vec![
    ///     ("stripe-api-key".parse()?, Credential::api_key("sk_live_example")),
    ///     ("database".parse()?, Credential::username_password("app", "example")),
    /// ];
    /// for item in manager.store_batch(items).await {
    ///     if let Err(error) = item.result {
    ///         eprintln!("{}: {error}", item.id);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// Dropping the future starts no further item; items that have begun continue, as in
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
    /// The results are in input order, and a failure affects only the items with its id.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let ids = manager.list().await?;
    /// let deleted = manager.delete_batch(&ids).await;
    /// assert!(deleted.iter().all(|item| item.result.is_ok()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// Dropping the future starts no further item; items that have begun continue, as in
    /// [`delete`](Self::delete).
    pub async fn delete_batch(&self, ids: &[CredentialId]) -> Vec<BatchItem<Result<(), ManagerError>>> {
        let groups = group_ids(ids);
        let work =
            groups.into_iter().map(|(id, slots)| async move { to_each(slots, self.delete(&id).await) });
        in_order(ids, self.concurrently("delete_batch", work, failure).await)
    }

    /// Reads many credentials. Cached ones need no call of the provider. Each different id of the
    /// others is loaded once, by calls of at most [`Description::batch`](cred_core::Description)
    /// ids; [`batch_concurrency`](crate::CredentialManagerBuilder::batch_concurrency) calls run at
    /// once.
    ///
    /// The results are in input order, and a failure affects only its own items. A credential that
    /// does not exist is `Ok(None)`. Expired credentials are returned, and a warning is logged,
    /// unless [`on_expired`](crate::CredentialManagerBuilder::on_expired) sets another behaviour.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let ids = ["stripe-api-key".parse()?, "database".parse()?];
    /// for item in manager.retrieve_batch(&ids).await {
    ///     match item.result? {
    ///         Some(credential) => println!("{}: {:?}", item.id, credential.kind()),
    ///         None => println!("{} is not stored", item.id),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// Dropping the future starts no further call; loads that have begun continue for other
    /// readers.
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
        let parts = iter::once(BatchPart::Cached(cached)).chain(chunks(missed, batch).map(BatchPart::Missed));
        let load = |part| async move {
            let chunk = match part {
                BatchPart::Cached(answers) => return answers,
                BatchPart::Missed(chunk) => chunk,
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

    /// Runs at most `batch_concurrency` of the futures at once and returns their results together.
    /// If this future is dropped, futures that have not begun do not begin.
    pub(crate) async fn bounded<T>(
        &self,
        work: impl Iterator<Item = impl Future<Output = Vec<T>>>,
    ) -> Vec<T> {
        let limit = self.shared.settings.batch_concurrency.get();
        let answers = stream::iter(work).buffer_unordered(limit).collect::<Vec<_>>().await;
        answers.into_iter().flatten().collect()
    }

    /// Loads different ids by one call of the provider, and shares in-flight loads. One result for
    /// each id.
    async fn load_many(&self, ids: Vec<CredentialId>) -> Vec<Loaded> {
        let shared = &self.shared;
        if let Err(closed) = shared.tasks.refuse_when_closed() {
            return ids.iter().map(|_| Err(closed.clone())).collect();
        }
        let Some(cache) = &shared.cache else {
            let fetches = shared.fetch_many(&ids, &self.context).await;
            let loaded =
                |(id, fetch)| Ok(shared.to_cacheable(self.path(id), fetch)?.map(|found| found.credential));
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
                    // The call of the first load also loads the others.
                    ends.get_or_insert(result.deadline);
                    loads.push(load);
                    Ok(result)
                }
            });
        }
        if let Err(closed) = shared.begin_loads(loads, self.context.clone()) {
            return ids.iter().map(|_| Err(closed.clone())).collect();
        }
        // Concurrently: their deadlines run at the same time.
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
enum BatchPart {
    Cached(Vec<(usize, Loaded)>),
    Missed(Vec<(CredentialId, Slots)>),
}

/// The positions of an id in the input.
pub(crate) type Slots = Vec<(usize, ())>;

pub(crate) fn chunks<T>(items: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    iter::from_fn(move || {
        let chunk: Vec<T> = items.by_ref().take(size).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Groups the items by id, each with its position in the input. Ids are in the order of their first
/// occurrence.
fn group<I>(items: impl IntoIterator<Item = (CredentialId, I)>) -> Vec<(CredentialId, Vec<(usize, I)>)> {
    let mut indexes: HashMap<CredentialId, usize> = HashMap::new();
    let mut groups: Vec<(CredentialId, Vec<(usize, I)>)> = Vec::new();
    for (slot, (id, item)) in items.into_iter().enumerate() {
        let index = *indexes.entry(id.clone()).or_insert(groups.len());
        match groups.get_mut(index) {
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

/// Computes the results of a chunk by one call of `answer`, which returns one result for each of
/// its ids.
pub(crate) async fn answer_chunk<T: Clone, F: Future<Output = Vec<T>>>(
    chunk: Vec<(CredentialId, Slots)>,
    answer: impl FnOnce(Vec<CredentialId>) -> F,
) -> Vec<(usize, T)> {
    let (ids, slots): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
    let answers = answer(ids).await;
    answers.into_iter().zip(slots).flat_map(|(answer, slots)| to_each(slots, answer)).collect()
}

/// The results in input order, each with its id; `answers` has one for each position in `ids`.
pub(crate) fn in_order<T>(ids: &[CredentialId], mut answers: Vec<(usize, T)>) -> Vec<BatchItem<T>> {
    answers.sort_unstable_by_key(|(slot, _)| *slot);
    let item = |(id, (_, result)): (&CredentialId, _)| BatchItem { id: id.clone(), result };
    ids.iter().zip(answers).map(item).collect()
}
