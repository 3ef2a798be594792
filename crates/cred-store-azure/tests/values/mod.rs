//! Values to store.

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, StorageError, StorageProvider,
    Stored, Timestamp,
};

pub(crate) fn value(number: u8) -> Stored {
    let key_id: KeyId = "key".parse().unwrap();
    let data = EncryptedData::new(key_id, [number; 32], [2; 32], [3; 12], vec![number; 256], [5; 16]);
    (data, CredentialMetadata::new(Timestamp::from_unix_millis(1_700_000_000_000)))
}

pub(crate) fn id(text: &str) -> CredentialId {
    text.parse().unwrap()
}

pub(crate) async fn store(
    provider: &impl StorageProvider,
    name: &str,
    number: u8,
) -> Result<(), StorageError> {
    let (data, metadata) = value(number);
    provider.store(&id(name), data, metadata, &CredentialContext::unscoped()).await
}
