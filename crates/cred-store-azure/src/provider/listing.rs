//! Lists: all names of the vault, page by page, and one more call for each credential that must be looked into.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cred_core::{CredentialFilter, CredentialPath, Operation, StorageError};
use cred_provider_kit::{CredentialFile, Wire};
use futures_util::future::join_all;

use super::Inner;
use crate::client::{Item, Shelf};

/// Calls in flight of one listing.
const AT_ONCE: usize = 16;

/// A credential of a list.
pub(super) struct Found {
    pub(super) path: CredentialPath,
    name: String,
    tags: BTreeMap<String, String>,
}

impl Inner {
    /// The credentials on a shelf that are wanted. Every page is read or it is an error.
    pub(super) async fn listed(
        &self,
        wire: &mut Wire<'_>,
        shelf: Shelf,
        wanted: impl Fn(&CredentialPath) -> bool,
    ) -> Result<Vec<Found>, StorageError> {
        let mut found = BTreeMap::new();
        let mut from = None;
        loop {
            let page = wire.read(|_| self.client.page(shelf, from.as_ref())).await?;
            for item in page.items {
                let Some(path) = self.naming.path(&item)? else { continue };
                if wanted(&path) {
                    let Item { name, tags } = item;
                    // By name, since what is written meanwhile may move a secret to a later page.
                    found.insert(name.to_ascii_lowercase(), Found { path, name, tags });
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(found.into_values().collect()),
            }
        }
    }

    /// The paths that the filter admits. Tags, which are written with the value, leave out what cannot match; the value decides.
    pub(super) async fn admitted(
        &self,
        wire: &mut Wire<'_>,
        operation: Operation,
        found: Vec<Found>,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let Some(filter) = filter.filter(|filter| !filter.is_empty()) else {
            return Ok(found.into_iter().map(|found| found.path).collect());
        };
        let may_match =
            |found: &Found| filter.tags.iter().all(|(key, value)| found.tags.get(key) == Some(value));
        let found: Vec<_> = found.into_iter().filter(may_match).collect();
        let values = self.values(wire, &found).await?;
        let mut admitted = Vec::new();
        for (Found { path, .. }, value) in found.into_iter().zip(values) {
            // Deleted since it was listed.
            let Some(value) = value else { continue };
            match CredentialFile::decode(value.as_bytes()) {
                Ok(file) if filter.matches(&file.metadata) => admitted.push(path),
                Ok(_) => {}
                Err(error) => return Err(error.at(self.description.name.clone(), operation, path)),
            }
        }
        Ok(admitted)
    }

    /// The values of some secrets, some calls at once. Those that were answered are not asked for again.
    async fn values(
        &self,
        wire: &mut Wire<'_>,
        found: &[Found],
    ) -> Result<Vec<Option<String>>, StorageError> {
        let mut values = Vec::with_capacity(found.len());
        for chunk in found.chunks(AT_ONCE) {
            let answered: Mutex<BTreeMap<String, Option<String>>> = Mutex::default();
            let lock = || answered.lock().unwrap_or_else(PoisonError::into_inner);
            wire.read(async |_| {
                let open: Vec<_> =
                    chunk.iter().filter(|found| !lock().contains_key(found.name.as_str())).collect();
                // Each answer is put away as it comes: when the attempt's time runs out, only the others are asked for again.
                let put = async |found: &'_ Found| {
                    let value = match self.value(&found.name).await {
                        Err(error) if error.is_not_found() => None,
                        answer => Some(answer?),
                    };
                    lock().insert(found.name.clone(), value);
                    Ok::<_, StorageError>(())
                };
                join_all(open.into_iter().map(put)).await.into_iter().collect::<Result<(), _>>()
            })
            .await?;
            let mut answered = answered.into_inner().unwrap_or_else(PoisonError::into_inner);
            values.extend(chunk.iter().map(|found| answered.remove(found.name.as_str()).flatten()));
        }
        Ok(values)
    }
}
