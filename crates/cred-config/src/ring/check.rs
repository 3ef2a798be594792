//! Detects a mistyped passphrase before it seals.

use std::error::Error as StdError;
use std::panic::resume_unwind;
use std::thread;

use base64ct::{Base64, Encoding as _};
use cred_core::{
    CredentialMetadata, CredentialPath, EncryptedData, KeyId, SealError, Sealer as _, Timestamp,
};
use cred_crypto::KeyRing;

use crate::error::Error;

/// Detects a mistyped passphrase before it seals: the field `check` of a passphrase.
///
/// It contains the salt and the commitment of a message that was sealed when the key was added.
/// They show whether a key is the same, but the key cannot be derived from them.
#[derive(Debug, Clone, Copy)]
pub struct PassphraseCheck {
    salt: [u8; 32],
    commitment: [u8; 32],
}

impl PassphraseCheck {
    const LEN: usize = 64;

    /// Creates the check of the active key of a ring. Blocks while Argon2id derives the key.
    ///
    /// # Errors
    /// [`Error::Check`] if sealing with the key fails.
    pub fn of_active(ring: &KeyRing) -> Result<Self, Error> {
        let path = path()?;
        let sealed =
            block_on_thread(ring.seal(path.as_path_ref(), &metadata(), b"check"))?.map_err(check_error)?;
        Ok(Self { salt: sealed.salt, commitment: sealed.commitment })
    }

    /// Whether the ring's key of this id is the one that the check was created with. The ring
    /// derives the key once and keeps it.
    pub(super) fn matches_key(&self, ring: &KeyRing, id: &KeyId, kdf_salt: [u8; 16]) -> Result<bool, Error> {
        let path = path()?;
        // The message is empty: the commitment is compared before anything is decrypted.
        let data = EncryptedData::new(id.clone(), self.salt, self.commitment, [0; 12], Vec::new(), [0; 16])
            .with_kdf_salt(Some(kdf_salt));
        match block_on_thread(ring.open(path.as_path_ref(), &data, &metadata()))? {
            Err(SealError::WrongKey { .. }) => Ok(false),
            Ok(_) | Err(SealError::Tampered { .. }) => Ok(true),
            Err(error) => Err(check_error(error)),
        }
    }

    /// Returns the value of the field `check`.
    #[must_use]
    pub fn encode(&self) -> String {
        Base64::encode_string(&[self.salt, self.commitment].concat())
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        let decoded = Base64::decode(text, &mut bytes).ok()?;
        let (salt, commitment) = decoded.split_first_chunk()?;
        Some(Self { salt: *salt, commitment: commitment.try_into().ok()? })
    }
}

fn path() -> Result<CredentialPath, Error> {
    Ok(CredentialPath::new(None, "check".parse().map_err(check_error)?))
}

fn metadata() -> CredentialMetadata {
    CredentialMetadata::new(Timestamp::from_unix_millis(0))
}

/// Waits for a future on a new thread: the caller's thread may belong to a runtime, which must not
/// block.
fn block_on_thread<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, Error> {
    thread::scope(|scope| {
        let wait = || Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(work));
        let thread = thread::Builder::new().spawn_scoped(scope, wait).map_err(check_error)?;
        thread
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
            .map_err(|error: std::io::Error| check_error(error))
    })
}

fn check_error(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Check { source: Box::new(error) }
}
