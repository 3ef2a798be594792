//! Reads of several secrets at once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;

use cred_core::{StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::Wire;

use super::SecretsManager;
use crate::client::Client;
use crate::error::is_state_refusal;

/// The maximum number of concurrent calls of one operation, for calls that read one secret and for
/// calls that read twenty.
const MAX_CONCURRENT_READS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
const MAX_CONCURRENT_BATCHES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// The current values of secrets by their names.
type Values = BTreeMap<String, StorageResult<String>>;

impl SecretsManager {
    /// Reads the current values of these names, in their order. A name that is given twice is
    /// requested once.
    pub(super) async fn values(&self, wire: &mut Wire<'_>, names: &[String]) -> Vec<StorageResult<String>> {
        let mut remaining = names.to_vec();
        remaining.sort_unstable();
        remaining.dedup();
        let mut values = Values::new();
        if remaining.len() > 1 && !self.batches_denied.load(Ordering::Relaxed) {
            values = self.read_in_batches(wire, &remaining).await;
            remaining.retain(|name| !values.contains_key(name));
        }
        self.read_individually(wire, remaining, &mut values).await;
        let missing = || Err(StorageError::other("no result was received for this secret"));
        names.iter().map(|name| values.get(name).cloned().unwrap_or_else(missing)).collect()
    }

    /// Reads up to twenty secrets per call. The result lacks the names that AWS leaves out, and
    /// those whose refusal is transient or may mean that the secret is scheduled for deletion.
    async fn read_in_batches(&self, wire: &mut Wire<'_>, names: &[String]) -> Values {
        let chunks: Vec<_> = names.chunks(Client::BATCH.get()).collect();
        let batches =
            wire.read_each(&chunks, MAX_CONCURRENT_BATCHES, |chunk| self.client.values(chunk)).await;
        let mut values = Values::new();
        for (chunk, batch) in chunks.into_iter().zip(batches) {
            match batch {
                Ok(batch) => values.extend(batch.into_iter().filter(|(_, value)| {
                    value.as_ref().err().is_none_or(|error| !is_state_refusal(error) && !error.is_transient())
                })),
                // The retries are used up, or no time is left.
                Err(error) if error.is_transient() => {
                    values.extend(chunk.iter().map(|name| (name.clone(), Err(error.clone()))));
                }
                Err(error) => {
                    if matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }) {
                        self.batches_denied.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
        values
    }

    /// Reads each secret with a separate call, and describes those that may be scheduled for
    /// deletion.
    async fn read_individually(&self, wire: &mut Wire<'_>, mut names: Vec<String>, values: &mut Values) {
        let answers = wire.read_each(&names, MAX_CONCURRENT_READS, |name| self.client.value(name)).await;
        values.extend(names.iter().cloned().zip(answers));
        names
            .retain(|name| values.get(name).is_some_and(|value| value.as_ref().is_err_and(is_state_refusal)));
        let described = wire.read_each(&names, MAX_CONCURRENT_READS, |name| self.client.describe(name)).await;
        for (name, described) in names.into_iter().zip(described) {
            match described {
                // It exists, and AWS has refused it for another reason.
                Ok(Some(secret)) if !secret.scheduled => {}
                Ok(_) => drop(values.insert(name, Err(StorageErrorKind::NotFound.into()))),
                Err(error) => drop(values.insert(name, Err(error))),
            }
        }
    }
}
