//! Passphrases and Argon2id.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use cred_core::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use crate::KeyRingError;
use crate::master::Master;

/// A passphrase to derive a key from with Argon2id. Wiped when dropped, never printed.
///
/// Its UTF-8 bytes count as they are: nothing is trimmed or normalised. A key id names the
/// passphrase *and* its [`Argon2Params`]; to change either, add a new id.
pub struct Passphrase {
    text: SecretString,
    params: Argon2Params,
    kdf_salt: Option<[u8; 16]>,
}

impl Passphrase {
    /// A passphrase with the default [`Argon2Params`] and no salt of its own.
    ///
    /// # Errors
    /// [`KeyRingError::EmptyPassphrase`].
    pub fn new(text: SecretString) -> Result<Self, KeyRingError> {
        match text.expose_secret().is_empty() {
            true => Err(KeyRingError::EmptyPassphrase),
            false => Ok(Self { text, params: Argon2Params::default(), kdf_salt: None }),
        }
    }

    /// Sets the cost of a derivation.
    #[must_use]
    pub const fn with_params(mut self, params: Argon2Params) -> Self {
        self.params = params;
        self
    }

    /// Sets the salt to seal under: 16 random bytes, not secret, the same for all services that
    /// share the passphrase.
    ///
    /// Each salt that is met costs a derivation. Without one given, the ring seals under that of
    /// the first envelope it opens, and where it seals before it opens, under a random one: a
    /// service that does so at each start leaves as many salts behind.
    #[must_use]
    pub const fn with_kdf_salt(mut self, kdf_salt: [u8; 16]) -> Self {
        self.kdf_salt = Some(kdf_salt);
        self
    }

    pub(crate) const fn kdf_salt(&self) -> Option<[u8; 16]> {
        self.kdf_salt
    }

    /// Argon2id. Takes as long as the parameters say: only for the derivation thread.
    pub(crate) fn derive(&self, kdf_salt: &[u8; 16]) -> Result<Master, DeriveError> {
        let Argon2Params { m_kib, t, p } = self.params;
        let params = Params::new(m_kib, t, p, Some(Master::LEN)).map_err(DeriveError::Refused)?;
        let mut memory = Memory::new(params.block_count())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let passphrase = self.text.expose_secret().as_bytes();
        Master::fill(|master| {
            argon2.hash_password_into_with_memory(passphrase, kdf_salt, master, &mut memory.0)
        })
        .map_err(DeriveError::Refused)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase")
            .field("text", &"[REDACTED]")
            .field("params", &self.params)
            .field("kdf_salt", &self.kdf_salt.is_some())
            .finish()
    }
}

/// Why a key was not derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeriveError {
    OutOfMemory,
    Refused(argon2::Error),
}

/// The blocks that Argon2id works in. What is left in them at the end gives the key away, and the
/// `argon2` crate does not wipe those that it allocates.
struct Memory(Vec<Block>);

impl Memory {
    fn new(blocks: usize) -> Result<Self, DeriveError> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| DeriveError::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        Ok(Self(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// What one Argon2id derivation costs: whoever guesses passphrases pays it for every guess, a
/// reader once per salt.
///
/// The default, 64 MiB with t = 3 and p = 4, is the second recommendation of [RFC 9106, section
/// 4](https://www.rfc-editor.org/rfc/rfc9106.html#section-4). Less than 7 MiB, the least on
/// [OWASP's
/// list](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id),
/// is for tests alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    m_kib: u32,
    t: u32,
    p: u32,
}

impl Argon2Params {
    /// The most memory in KiB: 4 GiB, twice what RFC 9106 recommends where memory is plenty.
    pub const MAX_M_KIB: u32 = 4 * 1024 * 1024;
    /// The most passes. Beyond it a derivation takes minutes, and a typing error looks like a hang.
    pub const MAX_T: u32 = 100;
    /// The most lanes.
    pub const MAX_P: u32 = 64;

    /// Takes memory in KiB (8 for each lane to [`MAX_M_KIB`](Self::MAX_M_KIB)), passes (1 to
    /// [`MAX_T`](Self::MAX_T)) and lanes (1 to [`MAX_P`](Self::MAX_P)). The lanes are computed one
    /// after another, on one thread.
    ///
    /// # Errors
    /// [`KeyRingError::Argon2Parameter`] names the first that is out of its bounds.
    pub const fn new(m_kib: u32, t: u32, p: u32) -> Result<Self, KeyRingError> {
        if t < 1 || t > Self::MAX_T {
            return Err(KeyRingError::Argon2Parameter { name: "t", value: t, least: 1, most: Self::MAX_T });
        }
        if p < 1 || p > Self::MAX_P {
            return Err(KeyRingError::Argon2Parameter { name: "p", value: p, least: 1, most: Self::MAX_P });
        }
        let (least, most) = (8 * p, Self::MAX_M_KIB);
        if m_kib < least || m_kib > most {
            return Err(KeyRingError::Argon2Parameter { name: "m_kib", value: m_kib, least, most });
        }
        Ok(Self { m_kib, t, p })
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn m_kib(self) -> u32 {
        self.m_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn t(self) -> u32 {
        self.t
    }

    /// Lanes.
    #[must_use]
    pub const fn p(self) -> u32 {
        self.p
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self { m_kib: 65_536, t: 3, p: 4 }
    }
}
