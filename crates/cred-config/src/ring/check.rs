//! What finds a mistyped passphrase before it seals.

use std::error::Error as StdError;
use std::panic::resume_unwind;
use std::thread;

use base64ct::{Base64, Encoding as _};
use cred_core::{
    CredentialMetadata, CredentialPath, EncryptedData, KeyId, SealError, Sealer as _, Timestamp,
};
use cred_crypto::KeyRing;

use crate::error::Error;

/// Finds a mistyped passphrase before it seals: the line `check` beside a passphrase.
///
/// It is the salt and the commitment of a message that was sealed when the key was added. They
/// decide whether a key is that one, and the key cannot be found from them.
#[derive(Debug, Clone, Copy)]
pub struct PassphraseCheck {
    salt: [u8; 32],
    commitment: [u8; 32],
}

impl PassphraseCheck {
    const LEN: usize = 64;

    /// That of the active key of a ring. Blocks for as long as Argon2id is meant to take.
    ///
    /// # Errors
    /// [`Error::Check`] if nothing can be sealed with the key.
    pub fn of_active(ring: &KeyRing) -> Result<Self, Error> {
        let path = path()?;
        let sealed = waited(ring.seal(path.as_path_ref(), &metadata(), b"check"))?.map_err(failed)?;
        Ok(Self { salt: sealed.salt, commitment: sealed.commitment })
    }

    /// Whether the ring's key of this id is the one that this was made with. The ring derives the
    /// key once, and has it then.
    pub(super) fn is_of(&self, ring: &KeyRing, id: &KeyId, kdf_salt: [u8; 16]) -> Result<bool, Error> {
        let path = path()?;
        // The message is empty: the commitment is compared before anything is decrypted.
        let data = EncryptedData::new(id.clone(), self.salt, self.commitment, [0; 12], Vec::new(), [0; 16])
            .with_kdf_salt(Some(kdf_salt));
        match waited(ring.open(path.as_path_ref(), &data, &metadata()))? {
            Err(SealError::WrongKey { .. }) => Ok(false),
            Ok(_) | Err(SealError::Tampered { .. }) => Ok(true),
            Err(error) => Err(failed(error)),
        }
    }

    /// The value of the line `check`.
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
    Ok(CredentialPath::new(None, "check".parse().map_err(failed)?))
}

fn metadata() -> CredentialMetadata {
    CredentialMetadata::new(Timestamp::from_unix_millis(0))
}

/// The answer of a ring, on a thread of its own: the caller's may be in a runtime, which cannot
/// wait.
fn waited<T: Send>(work: impl Future<Output = T> + Send) -> Result<T, Error> {
    thread::scope(|scope| {
        let wait = || Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(work));
        let thread = thread::Builder::new().spawn_scoped(scope, wait).map_err(failed)?;
        thread
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
            .map_err(|error: std::io::Error| failed(error))
    })
}

fn failed(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::Check { source: Box::new(error) }
}
