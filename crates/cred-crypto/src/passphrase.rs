//! Passphrases and Argon2id.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use cred_core::{ExposeSecret, SecretString};
use zeroize::Zeroize;

use crate::KeyRingError;
use crate::master::Master;

/// A passphrase from which Argon2id derives a key. It is wiped when it is dropped, and never
/// printed.
///
/// Its UTF-8 bytes are used unchanged: nothing is trimmed or normalised. A key id refers to the
/// passphrase *and* its [`Argon2Params`]. To change either, add a new id.
pub struct Passphrase {
    text: SecretString,
    params: Argon2Params,
    kdf_salt: Option<[u8; 16]>,
}

impl Passphrase {
    /// Creates a passphrase with the default [`Argon2Params`] and without a salt.
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

    /// Sets the salt for sealing: 16 random bytes, not secret. Use the same salt in all services
    /// that share the passphrase.
    ///
    /// Each different salt costs a derivation. Without this setting, the ring seals under the salt
    /// of the first envelope that it opens; if it seals before it opens one, it uses a random salt.
    /// A service that does so at each start creates a new salt each time.
    #[must_use]
    pub const fn with_kdf_salt(mut self, kdf_salt: [u8; 16]) -> Self {
        self.kdf_salt = Some(kdf_salt);
        self
    }

    pub(crate) const fn kdf_salt(&self) -> Option<[u8; 16]> {
        self.kdf_salt
    }

    /// Runs Argon2id, which is slow. Only call it on the derivation thread.
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

/// The error when a key cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeriveError {
    OutOfMemory,
    Refused(argon2::Error),
}

/// The memory blocks of Argon2id. Their final contents reveal the key, and the `argon2` crate does
/// not wipe blocks that it allocates itself.
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

/// The cost of one Argon2id derivation. An attacker that guesses passphrases pays it for every
/// guess, a reader once per salt.
///
/// The default, 64 MiB with t = 3 and p = 4, is the second recommendation of [RFC 9106, section
/// 4](https://www.rfc-editor.org/rfc/rfc9106.html#section-4). Use less than 7 MiB, the minimum on
/// [OWASP's
/// list](https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id),
/// only for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Params {
    m_kib: u32,
    t: u32,
    p: u32,
}

impl Argon2Params {
    /// The maximum memory in KiB: 4 GiB, twice the first recommendation of RFC 9106.
    pub const MAX_M_KIB: u32 = 4 * 1024 * 1024;
    /// The maximum number of passes. With more, a derivation takes minutes, and a typing error
    /// looks like a hang.
    pub const MAX_T: u32 = 100;
    /// The maximum number of lanes.
    pub const MAX_P: u32 = 64;

    /// Creates parameters from the memory in KiB (8 per lane to [`MAX_M_KIB`](Self::MAX_M_KIB)),
    /// the passes (1 to [`MAX_T`](Self::MAX_T)) and the lanes (1 to [`MAX_P`](Self::MAX_P)). The
    /// lanes are computed one after another, on one thread.
    ///
    /// # Errors
    /// [`KeyRingError::Argon2Parameter`] names the first parameter outside its bounds.
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

    /// Returns the memory in KiB.
    #[must_use]
    pub const fn m_kib(self) -> u32 {
        self.m_kib
    }

    /// Returns the number of passes over the memory.
    #[must_use]
    pub const fn t(self) -> u32 {
        self.t
    }

    /// Returns the number of lanes.
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
