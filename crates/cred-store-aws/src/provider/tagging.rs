//! Tags of a secret that follow the metadata of its credential.

use cred_core::StorageResult;
use cred_provider_kit::Wire;

use super::{SecretsManager, decode};
use crate::client::{Described, Write};

impl SecretsManager {
    /// Makes the tags of a secret those of the version that will be written. Other users' tags
    /// stay.
    pub(super) async fn tag(
        &self,
        wire: &mut Wire<'_>,
        write: &Write,
        found: &Described,
    ) -> StorageResult<()> {
        let was_in_doubt = wire.in_doubt();
        let tagged = self.untag_and_tag(wire, write, found).await;
        // Tags are not the write that was asked for: what fails from here on has not written the
        // value.
        if !was_in_doubt {
            wire.settle();
        }
        tagged
    }

    async fn untag_and_tag(
        &self,
        wire: &mut Wire<'_>,
        write: &Write,
        found: &Described,
    ) -> StorageResult<()> {
        let name = &write.name;
        let gone = self.gone(wire, write, found).await?;
        // First, since AWS bounds the number of tags.
        if !gone.is_empty() {
            wire.write(|_| self.client.untag(name, &gone)).await?;
        }
        let mut changed = write.tags.clone();
        changed.retain(|key, value| found.tags.get(key) != Some(value));
        if !changed.is_empty() {
            wire.write(|_| self.client.tag(name, &changed)).await?;
        }
        Ok(())
    }

    /// The keys of the tags that the stored credential has given to its secret, and that the next
    /// version lacks. The stored metadata decides: a tag that it does not have, or has with another
    /// value, is another user's.
    async fn gone(
        &self,
        wire: &mut Wire<'_>,
        write: &Write,
        found: &Described,
    ) -> StorageResult<Vec<String>> {
        // No credential can have given a tag of AWS's own.
        let may_be_ours = |key: &String| !write.tags.contains_key(key) && !key.starts_with("aws:");
        if !found.tags.keys().any(may_be_ours) {
            return Ok(Vec::new());
        }
        let stored = match decode(self.value(wire, &write.name).await) {
            Ok(Some(file)) => file.metadata.tags,
            // Nothing is stored, or something that this library has not written.
            Ok(None) => return Ok(Vec::new()),
            Err(error) if error.is_corrupted() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let ours = found.tags.iter().filter(|(key, value)| stored.get(*key) == Some(*value));
        Ok(ours.map(|(key, _)| key.clone()).filter(may_be_ours).collect())
    }
}
