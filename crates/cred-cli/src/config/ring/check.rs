//! What tells a mistyped passphrase before it seals.

use base64ct::{Base64, Encoding as _};
use cred_core::{
    CredentialMetadata, CredentialPath, EncryptedData, KeyId, SealError, Sealer as _, Timestamp,
};
use cred_crypto::{KeyRing, Passphrase};

use crate::failure::{Exit, Failure};

/// Salt and commitment of a message that was sealed when the key was added: they tell whether a key is that one, and
/// the key cannot be found from them.
#[derive(Clone, Copy)]
pub(super) struct Check {
    salt: [u8; 32],
    commitment: [u8; 32],
}

impl Check {
    const LEN: usize = 64;

    /// That of a new key; it takes as long as Argon2id is meant to.
    pub(super) fn new(id: &KeyId, passphrase: Passphrase) -> Result<Self, Failure> {
        let ring = KeyRing::builder(id.clone()).key(id.clone(), passphrase).build()?;
        let path = Self::path()?;
        let sealed = waited(ring.seal(path.as_ref(), &Self::metadata(), b"check"))??;
        Ok(Self { salt: sealed.salt, commitment: sealed.commitment })
    }

    /// Whether the ring's key of this id is the one that this was made with. The ring derives it once, and has it then.
    pub(super) fn is_of(&self, ring: &KeyRing, id: &KeyId, kdf_salt: [u8; 16]) -> Result<bool, Failure> {
        let path = Self::path()?;
        // There is no message: the commitment is compared before anything is decrypted.
        let data = EncryptedData::new(id.clone(), self.salt, self.commitment, [0; 12], Vec::new(), [0; 16])
            .with_kdf_salt(Some(kdf_salt));
        match waited(ring.open(path.as_ref(), &data, &Self::metadata()))? {
            Err(SealError::WrongKey { .. }) => Ok(false),
            Ok(_) | Err(SealError::Tampered { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn path() -> Result<CredentialPath, Failure> {
        Ok(CredentialPath::new(None, "check".parse()?))
    }

    fn metadata() -> CredentialMetadata {
        CredentialMetadata::new(Timestamp::from_unix_millis(0))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        let decoded = Base64::decode(text, &mut bytes).ok()?;
        let (salt, commitment) = decoded.split_first_chunk()?;
        Some(Self { salt: *salt, commitment: commitment.try_into().ok()? })
    }

    pub(super) fn encode(&self) -> String {
        Base64::encode_string(&[self.salt, self.commitment].concat())
    }
}

/// The answer of a ring, which derives keys on a thread of its own.
fn waited<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| {
        Failure::new(Exit::Failed, "the async runtime could not be started").caused_by(error)
    })?;
    Ok(runtime.block_on(work))
}
