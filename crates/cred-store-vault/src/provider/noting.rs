//! The metadata of a credential as custom metadata of its secret, for people that inspect the
//! secret in Vault.

use std::collections::HashMap;
use std::time::Duration;

use cred_core::{CredentialMetadata, StorageErrorKind};
use cred_provider_kit::Wire;

use super::Vault;

/// The prefix of the keys that are not those of tags.
const DOMAIN: &str = "cred-rs.github.io/";

/// The maximum time that a store waits for its custom metadata: the value is already stored.
const MAX_WAIT: Duration = Duration::from_secs(5);

impl Vault {
    /// Writes the custom metadata of a secret whose value was just written, if that is configured.
    /// A failure is logged and does not fail the store, because nothing depends on custom metadata.
    pub(super) async fn write_custom_metadata(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        metadata: &CredentialMetadata,
    ) {
        if !self.custom_metadata {
            return;
        }
        let noted = &custom_metadata(metadata);
        // The other half is for the result of the store.
        let max_wait = MAX_WAIT.min(wire.remaining() / 2);
        let written = self.write(wire, |session| async move {
            self.client.set_custom_metadata(session.token(), name, noted.clone()).await
        });
        let written = tokio::time::timeout(max_wait, written).await;
        let error = match written {
            Ok(Ok(())) => None,
            Ok(Err(failure)) => Some(failure.error),
            Err(_) => Some(StorageErrorKind::Timeout { limit: max_wait }.into()),
        };
        if let Some(error) = error {
            tracing::warn!(
                target: "cred::storage",
                secret = name,
                %error,
                "the credential was stored, but the custom metadata of its secret were not updated"
            );
        }
    }
}

/// Returns the tags, and the times, the version and the creator under the keys of this library.
/// Vault refuses all of them if one has an empty value, so tags without a value are left out.
fn custom_metadata(metadata: &CredentialMetadata) -> HashMap<String, String> {
    let tags = metadata.tags.iter().filter(|(_, value)| !value.is_empty());
    let tags = tags.map(|(key, value)| (key.clone(), value.clone()));
    let own = [
        ("created_at", Some(metadata.created_at.to_string())),
        ("last_modified", Some(metadata.last_modified.to_string())),
        ("version", Some(metadata.version.to_string())),
        ("created_by", metadata.created_by.as_ref().map(ToString::to_string)),
        ("expires_at", metadata.expires_at.map(|at| at.to_string())),
    ];
    let own = own.into_iter().filter_map(|(key, value)| Some((format!("{DOMAIN}{key}"), value?)));
    tags.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use cred_core::{CreatedBy, Timestamp};

    use super::*;

    #[test]
    fn custom_metadata_contain_the_creator_if_one_is_recorded() {
        let key = "cred-rs.github.io/created_by";
        let metadata = CredentialMetadata::new(Timestamp::from_unix_millis(7));
        assert_eq!(custom_metadata(&metadata).get(key), None);
        let metadata = metadata.with_created_by(CreatedBy::from_static("payments"));
        assert_eq!(custom_metadata(&metadata).get(key).map(String::as_str), Some("payments"));
    }
}
