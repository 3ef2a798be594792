//! What tests store, and under which names.

use std::net::{SocketAddr, ToSocketAddrs as _};

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, RetryPolicy, Sealed,
    StorageError, StorageProvider, Timestamp,
};

/// A sealed value. Another number is another value.
#[must_use]
pub fn value(number: u8) -> Sealed {
    sized(number, 256)
}

/// As [`value`], with this many bytes of ciphertext.
#[must_use]
pub fn sized(number: u8, len: usize) -> Sealed {
    let key: KeyId = "key".parse().unwrap();
    let data = EncryptedData::new(key, [number; 32], [2; 32], [3; 12], vec![number; len], [5; 16]);
    Sealed::new(data, CredentialMetadata::new(Timestamp::from_unix_millis(1_700_000_000_000)))
}

/// An id.
#[must_use]
pub fn id(text: &str) -> CredentialId {
    text.parse().unwrap()
}

/// The context of credentials that belong to no tenant.
#[must_use]
pub fn unscoped() -> CredentialContext {
    CredentialContext::unscoped()
}

/// The context of one tenant.
#[must_use]
pub fn scoped(scope: &str) -> CredentialContext {
    CredentialContext::scoped(scope.parse().unwrap())
}

/// Stores [`value`] without a scope.
///
/// # Errors
/// Those of the provider.
pub async fn store(
    provider: &(impl StorageProvider + ?Sized),
    name: &str,
    number: u8,
) -> Result<(), StorageError> {
    let Sealed { data, metadata } = value(number);
    provider.store(&id(name), data, metadata, &unscoped()).await
}

/// The name of an error's kind, without its contents.
#[must_use]
pub fn kind(error: &StorageError) -> String {
    let text = format!("{:?}", error.kind());
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// A name that no other test uses.
#[must_use]
pub fn fresh() -> String {
    std::iter::repeat_with(fastrand::lowercase).take(12).collect()
}

/// Retries within tenths of a second.
#[must_use]
pub fn quick() -> RetryPolicy {
    RetryPolicy::default().with_base_delay_ms(20).with_max_delay_ms(200)
}

/// Two retries within hundredths of a second, for servers in this process.
#[must_use]
pub fn hasty() -> RetryPolicy {
    RetryPolicy::default().with_max_retries(2).with_base_delay_ms(10)
}

/// A variable that `cargo xtask test-integration` sets.
#[must_use]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test-integration`"))
}

/// The address of a server, from its URL.
#[must_use]
pub fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").unwrap_or_else(|| panic!("`{url}` is not a URL"));
    rest.trim_end_matches('/').to_socket_addrs().unwrap().next().unwrap()
}
