//! Updates of a secret's tags from the metadata of its credential.

use cred_core::StorageResult;
use cred_provider_kit::Wire;

use super::{SecretsManager, decode};
use crate::client::{NewVersion, SecretState};

impl SecretsManager {
    /// Updates the tags of a secret to those of the version that is written next. Tags of other
    /// users stay.
    pub(super) async fn update_tags(
        &self,
        wire: &mut Wire<'_>,
        version: &NewVersion,
        state: &SecretState,
    ) -> StorageResult<()> {
        let was_unknown = wire.outcome_unknown();
        let result = self.change_tags(wire, version, state).await;
        // The tag calls only prepare the requested write: after a failure of them, the value is
        // not written.
        if !was_unknown {
            wire.mark_not_written();
        }
        result
    }

    async fn change_tags(
        &self,
        wire: &mut Wire<'_>,
        version: &NewVersion,
        state: &SecretState,
    ) -> StorageResult<()> {
        let name = &version.name;
        let to_remove = self.tags_to_remove(wire, version, state).await?;
        // First, because AWS limits the number of tags.
        if !to_remove.is_empty() {
            wire.write(|_| self.client.untag(name, &to_remove)).await?;
        }
        let mut changed = version.tags.clone();
        changed.retain(|key, value| state.tags.get(key) != Some(value));
        if !changed.is_empty() {
            wire.write(|_| self.client.tag(name, &changed)).await?;
        }
        Ok(())
    }

    /// Returns the keys of the tags that the stored credential has set on its secret and that the
    /// next version lacks. The stored metadata decides: a tag that it lacks, or has with another
    /// value, is another user's.
    async fn tags_to_remove(
        &self,
        wire: &mut Wire<'_>,
        version: &NewVersion,
        state: &SecretState,
    ) -> StorageResult<Vec<String>> {
        // A credential cannot have set a tag that is reserved for AWS.
        let may_be_own = |key: &String| !version.tags.contains_key(key) && !key.starts_with("aws:");
        if !state.tags.keys().any(may_be_own) {
            return Ok(Vec::new());
        }
        let stored = match decode(self.value(wire, &version.name).await) {
            Ok(Some(file)) => file.metadata.tags,
            // Nothing is stored, or another program wrote the value.
            Ok(None) => return Ok(Vec::new()),
            Err(error) if error.is_corrupted() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let own = state.tags.iter().filter(|(key, value)| stored.get(*key) == Some(*value));
        Ok(own.map(|(key, _)| key.clone()).filter(may_be_own).collect())
    }
}
