//! The key ring: a `Sealer` with the keys of a service.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cred_core::{
    CredentialMetadata, EncryptedData, KeyId, Opened, PathRef, SealError, Sealer, SecretString, async_trait,
};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

use crate::kdf::{Clock, Kdf, KdfError};
use crate::key::Source;
use crate::master::Master;
use crate::message::{self, ProvenKey, RANDOM_LEN, SealWith};
use crate::passphrase::{DeriveError, Passphrase};
use crate::{KeyRingError, SealingKey};

/// The keys for sealing credentials: one active key, which seals, and any number of older keys,
/// which only open.
///
/// It is cheap to clone: clones share the keys, which are wiped when the last clone is dropped. A
/// ring is immutable. To rotate a key, create a ring with both keys and the new one active, re-seal
/// all credentials (`rekey`), and then remove the old key.
///
/// Sealing or opening derives a message key and makes one AES-256-GCM pass on the calling thread,
/// about 10 microseconds for 1 KiB. A passphrase also costs one Argon2id derivation per salt, on a
/// separate thread that ends with the ring.
///
/// ```no_run
/// use cred_crypto::KeyRing;
///
/// let keys = KeyRing::from_key_file("main-2026".parse()?, "/etc/app/main-2026.key")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<RingData>);

struct RingData {
    active: KeyId,
    keys: BTreeMap<KeyId, Key>,
    /// `Some` if and only if at least one key is a passphrase.
    kdf: Option<Kdf>,
    random: Random,
}

enum Key {
    Raw(Master),
    Passphrase(Arc<Passphrase>),
}

/// Fills a buffer with unpredictable bytes.
type Random = fn(&mut [u8]) -> Result<(), Unspecified>;

impl KeyRing {
    /// Returns a builder of a ring that seals under the key `active`. Add that key and the older
    /// ones, then call [`build`](KeyRingBuilder::build).
    pub const fn builder(active: KeyId) -> KeyRingBuilder {
        KeyRingBuilder { active, keys: Vec::new() }
    }

    /// Returns a ring with one key from a file: [`SealingKey::from_file`]. This blocks: call it at
    /// program start.
    ///
    /// # Errors
    /// Errors of [`SealingKey::from_file`].
    pub fn from_key_file(key_id: KeyId, path: impl AsRef<Path>) -> Result<Self, KeyRingError> {
        Self::with_one_key(key_id, SealingKey::from_file(path)?)
    }

    /// Returns a ring with one key from a variable of this process's environment:
    /// [`SealingKey::from_env`].
    ///
    /// # Errors
    /// Errors of [`SealingKey::from_env`].
    pub fn from_env(key_id: KeyId, variable: &str) -> Result<Self, KeyRingError> {
        Self::with_one_key(key_id, SealingKey::from_env(variable)?)
    }

    /// Returns a ring with one key from a variable that `env` looks up:
    /// [`SealingKey::from_env_with`].
    ///
    /// # Errors
    /// Errors of [`SealingKey::from_env_with`].
    pub fn from_env_with(
        key_id: KeyId,
        variable: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, KeyRingError> {
        Self::with_one_key(key_id, SealingKey::from_env_with(variable, env)?)
    }

    /// Returns a ring with one passphrase, with the default [`Argon2Params`](crate::Argon2Params)
    /// and without a salt. Read [`Passphrase::with_kdf_salt`] before you use it in more than one
    /// process.
    ///
    /// # Errors
    /// [`KeyRingError::EmptyPassphrase`], [`KeyRingError::Thread`].
    pub fn from_passphrase(key_id: KeyId, passphrase: SecretString) -> Result<Self, KeyRingError> {
        Self::with_one_key(key_id, Passphrase::new(passphrase)?)
    }

    /// Returns a ring with one generated key, for tests: everything that it seals is lost with it.
    ///
    /// # Errors
    /// [`KeyRingError::Random`].
    pub fn generate(key_id: KeyId) -> Result<Self, KeyRingError> {
        Self::with_one_key(key_id, SealingKey::generate()?)
    }

    fn with_one_key(key_id: KeyId, key: impl Into<SealingKey>) -> Result<Self, KeyRingError> {
        Self::builder(key_id.clone()).key(key_id, key).build()
    }

    /// Returns the ids of all keys, sorted.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.keys.keys()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_ids: Vec<_> = self.key_ids().collect();
        f.debug_struct("KeyRing")
            .field("active", &self.0.active)
            .field("key_ids", &key_ids)
            .finish_non_exhaustive()
    }
}

/// Collects the keys of a [`KeyRing`].
#[derive(Debug)]
#[must_use]
pub struct KeyRingBuilder {
    active: KeyId,
    keys: Vec<(KeyId, SealingKey)>,
}

impl KeyRingBuilder {
    /// Adds a key: the active one, or an older one, which only opens.
    pub fn key(mut self, key_id: KeyId, key: impl Into<SealingKey>) -> Self {
        self.keys.push((key_id, key.into()));
        self
    }

    /// Creates the ring. This does not read or derive anything; if a key is a passphrase, it starts
    /// the derivation thread.
    ///
    /// # Errors
    /// [`KeyRingError::DuplicateKey`], [`KeyRingError::MissingActiveKey`],
    /// [`KeyRingError::Thread`].
    pub fn build(self) -> Result<KeyRing, KeyRingError> {
        self.build_with(Environment::system(), Passphrase::derive)
    }

    fn build_with(
        self,
        environment: Environment,
        derive: impl Fn(&Passphrase, &[u8; 16]) -> Result<Master, DeriveError> + Send + 'static,
    ) -> Result<KeyRing, KeyRingError> {
        let Self { active, keys: given } = self;
        let mut keys = BTreeMap::new();
        for (key_id, SealingKey(source)) in given {
            let key = match source {
                Source::Raw(master) => Key::Raw(master),
                Source::Passphrase(passphrase) => Key::Passphrase(Arc::new(passphrase)),
            };
            if keys.insert(key_id.clone(), key).is_some() {
                return Err(KeyRingError::DuplicateKey { key_id });
            }
        }
        if !keys.contains_key(&active) {
            return Err(KeyRingError::MissingActiveKey { key_id: active });
        }
        let mut passphrases = keys
            .iter()
            .filter_map(|(key_id, key)| match key {
                Key::Raw(_) => None,
                Key::Passphrase(passphrase) => Some((key_id.clone(), passphrase.kdf_salt())),
            })
            .peekable();
        let kdf = match passphrases.peek() {
            None => None,
            Some(_) => Some(
                Kdf::start(passphrases, environment.clock, derive)
                    .map_err(|source| KeyRingError::Thread { source })?,
            ),
        };
        Ok(KeyRing(Arc::new(RingData { active, keys, kdf, random: environment.random })))
    }
}

/// The random source and the clock of a ring, which tests replace.
struct Environment {
    random: Random,
    clock: Clock,
}

impl Environment {
    fn system() -> Self {
        Self { random: |buffer| SystemRandom::new().fill(buffer), clock: Box::new(Instant::now) }
    }
}

#[async_trait]
impl Sealer for KeyRing {
    fn active_key_id(&self) -> KeyId {
        self.0.active.clone()
    }

    /// If the active key is a passphrase, the envelope must also have the salt under which this
    /// ring seals. Until the ring has chosen that salt, no envelope is current.
    fn is_current(&self, data: &EncryptedData) -> bool {
        let ring = &*self.0;
        let expected_salt = match ring.keys.get(&ring.active) {
            Some(Key::Passphrase(_)) => {
                match ring.kdf.as_ref().and_then(|kdf| kdf.sealing_salt(&ring.active)) {
                    Some(salt) => Some(salt),
                    None => return false,
                }
            }
            Some(Key::Raw(_)) | None => None,
        };
        data.key_id == ring.active && data.kdf_salt == expected_salt && data.wrapped_key.is_none()
    }

    async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError> {
        let ring = &*self.0;
        let key_id = &ring.active;
        match ring.key(path, key_id)? {
            Key::Raw(master) => ring.seal(key_id, master, None, path, metadata, secret),
            Key::Passphrase(passphrase) => {
                let random_salt = || ring.random_bytes().map_err(|Unspecified| KdfError::Random);
                let (derived, kdf_salt) = ring
                    .kdf(path)?
                    .for_sealing(key_id, passphrase, random_salt)
                    .await
                    .map_err(|error| seal_error(path, error))?;
                ring.seal(key_id, &derived.master, Some(kdf_salt), path, metadata, secret)
            }
        }
    }

    async fn open(
        &self,
        path: PathRef<'_>,
        data: &EncryptedData,
        metadata: &CredentialMetadata,
    ) -> Result<Opened, SealError> {
        let ring = &*self.0;
        let key = ring.key(path, &data.key_id)?;
        if data.wrapped_key.is_some() {
            return Err(message::tampered(
                path,
                "it has a wrapped key, but this key is not wrapped by a KMS",
            ));
        }
        let proven = match (key, data.kdf_salt) {
            (Key::Raw(master), None) => ProvenKey::prove(master, path, data)?,
            (Key::Passphrase(passphrase), Some(kdf_salt)) => {
                let kdf = ring.kdf(path)?;
                let found = kdf
                    .for_opening(&data.key_id, passphrase, kdf_salt)
                    .await
                    .map_err(|error| seal_error(path, error))?;
                let proven = ProvenKey::prove(&found.derived.master, path, data)?;
                if !found.proven {
                    kdf.prove(&data.key_id, kdf_salt, found.derived);
                }
                proven
            }
            (Key::Raw(_), Some(_)) => {
                return Err(message::tampered(
                    path,
                    "it has a passphrase salt, but its key is not a passphrase",
                ));
            }
            (Key::Passphrase(_), None) => {
                return Err(message::tampered(
                    path,
                    "it has no passphrase salt, but its key is a passphrase",
                ));
            }
        };
        proven.open(path, data, metadata)
    }
}

impl RingData {
    fn key(&self, path: PathRef<'_>, key_id: &KeyId) -> Result<&Key, SealError> {
        self.keys
            .get(key_id)
            .ok_or_else(|| SealError::UnknownKey { path: path.to_path(), key_id: key_id.clone() })
    }

    fn kdf(&self, path: PathRef<'_>) -> Result<&Kdf, SealError> {
        self.kdf.as_ref().ok_or_else(|| seal_error(path, KdfError::Broken))
    }

    fn seal(
        &self,
        key_id: &KeyId,
        master: &Master,
        kdf_salt: Option<[u8; 16]>,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError> {
        let random =
            self.random_bytes::<RANDOM_LEN>().map_err(|Unspecified| seal_error(path, KdfError::Random))?;
        let sealing_key = SealWith { key_id, master, kdf_salt, wrapped_key: None };
        message::seal(sealing_key, &random, path, metadata, secret)
    }

    fn random_bytes<const N: usize>(&self) -> Result<[u8; N], Unspecified> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes)?;
        Ok(bytes)
    }
}

fn seal_error(path: PathRef<'_>, error: KdfError) -> SealError {
    let failed = |what, transient| SealError::Failed { path: path.to_path(), what, transient, source: None };
    match error {
        KdfError::Busy => SealError::KdfBusy { path: path.to_path() },
        KdfError::OutOfMemory => failed(
            "there is not enough memory for the passphrase derivation; give the process more, or try again later",
            true,
        ),
        KdfError::Random => failed("the system's random source failed; check the system", false),
        KdfError::Broken => {
            failed("the passphrase derivation thread has ended; this is a defect of cred-crypto", false)
        }
    }
}

#[cfg(test)]
mod tests;
