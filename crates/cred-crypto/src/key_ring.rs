//! The keys of a service, and the `Sealer` that they are.

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
use crate::message::{self, DRAW_LEN, ProvenKey, SealUnder};
use crate::passphrase::{DeriveError, Passphrase};
use crate::{KeyRingError, SealingKey};

/// The keys that credentials are sealed under: one active key, which seals, and any number of older
/// ones, which open.
///
/// Cheap to clone: clones share the keys, and the keys are wiped with the last one. A ring does not
/// change; to rotate a key, make one in which the new key is active and the old one still there,
/// re-seal (`rekey`), and then drop the old one.
///
/// What it costs: a message key is derived and one AES-256-GCM pass made on the calling thread,
/// some 10 microseconds for 1 KiB. A passphrase costs an Argon2id derivation per salt, once, on a
/// thread of the ring's own, which ends with the ring.
#[derive(Clone)]
pub struct KeyRing(Arc<Inner>);

struct Inner {
    active: KeyId,
    keys: BTreeMap<KeyId, Key>,
    /// There where a key is a passphrase.
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
    /// A ring in which `active` is to seal. Add that key and the older ones, then
    /// [build](KeyRingBuilder::build).
    pub const fn builder(active: KeyId) -> KeyRingBuilder {
        KeyRingBuilder { active, keys: Vec::new() }
    }

    /// A ring of one key from a file: [`SealingKey::from_file`]. Blocks: for the start of a
    /// program.
    ///
    /// # Errors
    /// Those of [`SealingKey::from_file`].
    pub fn from_key_file(key_id: KeyId, path: impl AsRef<Path>) -> Result<Self, KeyRingError> {
        Self::of_one(key_id, SealingKey::from_file(path)?)
    }

    /// Returns a ring of one key from a variable of this process's environment:
    /// [`SealingKey::from_env`].
    ///
    /// # Errors
    /// Those of [`SealingKey::from_env`].
    pub fn from_env(key_id: KeyId, variable: &str) -> Result<Self, KeyRingError> {
        Self::of_one(key_id, SealingKey::from_env(variable)?)
    }

    /// Returns a ring of one key from a variable that `env` looks up:
    /// [`SealingKey::from_env_with`].
    ///
    /// # Errors
    /// Those of [`SealingKey::from_env_with`].
    pub fn from_env_with(
        key_id: KeyId,
        variable: &str,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, KeyRingError> {
        Self::of_one(key_id, SealingKey::from_env_with(variable, env)?)
    }

    /// A ring of one passphrase with the default [`Argon2Params`](crate::Argon2Params) and no salt
    /// given: see [`Passphrase::with_kdf_salt`] before you use it for more than one process.
    ///
    /// # Errors
    /// [`KeyRingError::EmptyPassphrase`], [`KeyRingError::Thread`].
    pub fn from_passphrase(key_id: KeyId, passphrase: SecretString) -> Result<Self, KeyRingError> {
        Self::of_one(key_id, Passphrase::new(passphrase)?)
    }

    /// A ring of one new key, for tests: what it seals is lost with it.
    ///
    /// # Errors
    /// [`KeyRingError::Random`].
    pub fn generate(key_id: KeyId) -> Result<Self, KeyRingError> {
        Self::of_one(key_id, SealingKey::generate()?)
    }

    fn of_one(key_id: KeyId, key: impl Into<SealingKey>) -> Result<Self, KeyRingError> {
        Self::builder(key_id.clone()).key(key_id, key).build()
    }

    /// The ids of all keys, sorted.
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
    /// Adds a key: the active one, or an older one that opens what was sealed under it.
    pub fn key(mut self, key_id: KeyId, key: impl Into<SealingKey>) -> Self {
        self.keys.push((key_id, key.into()));
        self
    }

    /// Makes the ring. Reads nothing and derives nothing; with a passphrase it starts the
    /// derivation thread.
    ///
    /// # Errors
    /// [`KeyRingError::DuplicateKey`], [`KeyRingError::MissingActiveKey`],
    /// [`KeyRingError::Thread`].
    pub fn build(self) -> Result<KeyRing, KeyRingError> {
        self.build_with(Environment::of_the_system(), Passphrase::derive)
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
        Ok(KeyRing(Arc::new(Inner { active, keys, kdf, random: environment.random })))
    }
}

/// What a ring takes from the world; tests put their own in its place.
struct Environment {
    random: Random,
    clock: Clock,
}

impl Environment {
    fn of_the_system() -> Self {
        Self { random: |buffer| SystemRandom::new().fill(buffer), clock: Box::new(Instant::now) }
    }
}

#[async_trait]
impl Sealer for KeyRing {
    fn active_key_id(&self) -> KeyId {
        self.0.active.clone()
    }

    /// Beside the key id, a passphrase's salt must be the one that this ring seals under. While
    /// that is not decided, no envelope is current.
    fn is_current(&self, data: &EncryptedData) -> bool {
        let ring = &*self.0;
        let expected_salt = match ring.keys.get(&ring.active) {
            Some(Key::Passphrase(_)) => {
                match ring.kdf.as_ref().and_then(|kdf| kdf.sealing_salt(&ring.active)) {
                    Some(decided) => Some(decided),
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
                let random_salt = || ring.draw().map_err(|Unspecified| KdfError::Random);
                let (derived, kdf_salt) = ring
                    .kdf(path)?
                    .for_sealing(key_id, passphrase, random_salt)
                    .await
                    .map_err(|error| no_key(path, error))?;
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
            return Err(message::tampered(path, "it has a wrapped key, but no KMS wraps this key"));
        }
        let proven = match (key, data.kdf_salt) {
            (Key::Raw(master), None) => ProvenKey::prove(master, path, data)?,
            (Key::Passphrase(passphrase), Some(kdf_salt)) => {
                let kdf = ring.kdf(path)?;
                let found = kdf
                    .for_opening(&data.key_id, passphrase, kdf_salt)
                    .await
                    .map_err(|error| no_key(path, error))?;
                let proven = ProvenKey::prove(&found.derived.master, path, data)?;
                if !found.proven {
                    kdf.prove(&data.key_id, kdf_salt, found.derived);
                }
                proven
            }
            (Key::Raw(_), Some(_)) => {
                return Err(message::tampered(
                    path,
                    "it has a passphrase salt, but its key is no passphrase",
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

impl Inner {
    fn key(&self, path: PathRef<'_>, key_id: &KeyId) -> Result<&Key, SealError> {
        self.keys
            .get(key_id)
            .ok_or_else(|| SealError::UnknownKey { path: path.to_path(), key_id: key_id.clone() })
    }

    fn kdf(&self, path: PathRef<'_>) -> Result<&Kdf, SealError> {
        self.kdf.as_ref().ok_or_else(|| no_key(path, KdfError::Broken))
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
        let draw = self.draw::<DRAW_LEN>().map_err(|Unspecified| no_key(path, KdfError::Random))?;
        let under = SealUnder { key_id, master, kdf_salt, wrapped_key: None };
        message::seal(under, &draw, path, metadata, secret)
    }

    fn draw<const N: usize>(&self) -> Result<[u8; N], Unspecified> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes)?;
        Ok(bytes)
    }
}

fn no_key(path: PathRef<'_>, error: KdfError) -> SealError {
    let failed = |what, transient| SealError::Failed { path: path.to_path(), what, transient, source: None };
    match error {
        KdfError::Busy => SealError::KdfBusy { path: path.to_path() },
        KdfError::OutOfMemory => failed(
            "there was no memory for a passphrase derivation; give the process more, or try again later",
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
