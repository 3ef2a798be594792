//! Values for tests to store, names, and retry settings.

use std::net::{SocketAddr, ToSocketAddrs as _};

use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, RetryPolicy, Sealed,
    StorageError, StorageProvider, Timestamp,
};

/// Returns a sealed value. Different numbers give different values.
#[must_use]
pub fn value(number: u8) -> Sealed {
    sized(number, 256)
}

/// Returns a [`value`] with `len` bytes of ciphertext.
#[must_use]
pub fn sized(number: u8, len: usize) -> Sealed {
    let key: KeyId = "key".parse().unwrap();
    let data = EncryptedData::new(key, [number; 32], [2; 32], [3; 12], vec![number; len], [5; 16]);
    Sealed::new(data, CredentialMetadata::new(Timestamp::from_unix_millis(1_700_000_000_000)))
}

/// Parses an id.
#[must_use]
pub fn id(text: &str) -> CredentialId {
    text.parse().unwrap()
}

/// Returns the context of credentials without a scope.
#[must_use]
pub fn unscoped() -> CredentialContext {
    CredentialContext::unscoped()
}

/// Returns the context of a scope.
#[must_use]
pub fn scoped(scope: &str) -> CredentialContext {
    CredentialContext::scoped(scope.parse().unwrap())
}

/// Stores [`value`] without a scope.
///
/// # Errors
/// The error of the provider.
pub async fn store(
    provider: &(impl StorageProvider + ?Sized),
    name: &str,
    number: u8,
) -> Result<(), StorageError> {
    let Sealed { data, metadata } = value(number);
    provider.store(&id(name), data, metadata, &unscoped()).await
}

/// Returns the name of the kind of an error, without its fields.
#[must_use]
pub fn kind(error: &StorageError) -> String {
    let text = format!("{:?}", error.kind());
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

/// Returns a random name that no other test uses.
#[must_use]
pub fn fresh() -> String {
    std::iter::repeat_with(fastrand::lowercase).take(12).collect()
}

/// Returns a retry policy with waits of at most tenths of a second.
#[must_use]
pub fn quick() -> RetryPolicy {
    RetryPolicy::default().with_base_delay_ms(20).with_max_delay_ms(200)
}

/// Returns a policy of two retries within hundredths of a second, for servers in the same process.
#[must_use]
pub fn hasty() -> RetryPolicy {
    RetryPolicy::default().with_max_retries(2).with_base_delay_ms(10)
}

/// Returns an environment variable that `cargo xtask test-integration` sets.
#[must_use]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `cargo xtask test-integration`"))
}

/// Resolves the address of a server from its URL.
#[must_use]
pub fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").unwrap_or_else(|| panic!("`{url}` is not a URL"));
    rest.trim_end_matches('/').to_socket_addrs().unwrap().next().unwrap()
}
