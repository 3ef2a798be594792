//! A key of the ring and its sources.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use base64ct::{Base64, Encoding};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::error::KeyOrigin;
use crate::master::Master;
use crate::{KeyRingError, Passphrase, key_file};

/// A key for a [`KeyRing`](crate::KeyRing): 32 random bytes, or a [`Passphrase`]. It is wiped when
/// it is dropped, and never printed.
///
/// The text form of a key, in variables and files, is the standard base64 of its 32 bytes with
/// padding: 44 characters, the last one `=`. No other form is accepted. To create one, run
/// `head -c 32 /dev/urandom | base64`.
///
/// ```
/// use cred_crypto::{KeyRing, SealingKey};
///
/// let key = SealingKey::from_base64("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")?;
/// let keys = KeyRing::builder("k-2026".parse()?).key("k-2026".parse()?, key).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SealingKey(pub(crate) Source);

pub(crate) enum Source {
    Raw(Master),
    Passphrase(Passphrase),
}

impl SealingKey {
    /// Length of a key's text form.
    pub(crate) const TEXT_LEN: usize = 44;

    /// Creates a key from its bytes. They must be random: for a password, or a hash of one, use a
    /// [`Passphrase`].
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let Ok(master) = Master::fill(|master| {
            master.copy_from_slice(&*bytes);
            Ok::<_, std::convert::Infallible>(())
        });
        Self(Source::Raw(master))
    }

    /// Generates a key from the system's random source. It is not stored: if it is lost, so is
    /// everything sealed under it.
    ///
    /// # Errors
    /// [`KeyRingError::Random`].
    pub fn generate() -> Result<Self, KeyRingError> {
        Ok(Self(Source::Raw(random()?)))
    }

    /// Parses the text form, without surrounding white space.
    ///
    /// # Errors
    /// [`KeyRingError::Malformed`].
    pub fn from_base64(text: &str) -> Result<Self, KeyRingError> {
        Self::decode(text.as_bytes(), || KeyOrigin::Text)
    }

    /// Reads the text form from a variable of this process's environment.
    ///
    /// Prefer a file: the process keeps a copy of its environment that is never wiped, and child
    /// processes inherit it.
    ///
    /// # Errors
    /// [`KeyRingError::VariableName`], [`KeyRingError::MissingVariable`],
    /// [`KeyRingError::Malformed`].
    pub fn from_env(variable: &str) -> Result<Self, KeyRingError> {
        // As bytes, so that a value that is not UTF-8 is malformed, not missing.
        Self::from_variable(variable, |name| std::env::var_os(name).map(OsString::into_encoded_bytes))
    }

    /// Reads the text form from a variable that `env` looks up, for example in a map in a test.
    ///
    /// # Errors
    /// Errors of [`from_env`](Self::from_env).
    pub fn from_env_with(variable: &str, env: impl Fn(&str) -> Option<String>) -> Result<Self, KeyRingError> {
        Self::from_variable(variable, |name| env(name).map(String::into_bytes))
    }

    fn from_variable(variable: &str, lookup: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, KeyRingError> {
        // The text form of a key always contains `=`. A key that is passed in place of the name is
        // therefore refused here, and never gets into a message.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !(1..=128).contains(&variable.len()) || !variable.bytes().all(is_name) {
            return Err(KeyRingError::VariableName);
        }
        let text = lookup(variable).map(Zeroizing::new);
        let text = text.ok_or_else(|| KeyRingError::MissingVariable { variable: variable.to_owned() })?;
        Self::decode(&text, || KeyOrigin::Variable(variable.to_owned()))
    }

    /// Reads the text form, with or without a line end, from a file.
    ///
    /// On Unix, the group and others must not have any permission for the file (`chmod 600`).
    /// Symbolic links are followed, because Kubernetes mounts secrets with them, and the
    /// permissions of the opened file are checked. A principal that can write to a directory of the
    /// path can therefore choose the file. On other systems, permissions are not checked.
    ///
    /// This blocks: call it at program start, not in an async task.
    ///
    /// # Errors
    /// [`KeyRingError::UnreadableFile`], [`KeyRingError::NotAFile`], [`KeyRingError::ExposedFile`],
    /// [`KeyRingError::Malformed`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyRingError> {
        let path = path.as_ref();
        let content = key_file::read(path)?;
        Self::decode(key_file::without_line_end(&content), || KeyOrigin::File(path.to_owned()))
    }

    /// Generates a key and writes it to a new file. On Unix, only the owner can read the file, from
    /// its creation on. It is durable when this returns. An existing file is never replaced.
    ///
    /// Back up the file separately from the sealed credentials: without it, they are lost.
    ///
    /// This blocks: call it at program start, not in an async task.
    ///
    /// # Errors
    /// [`KeyRingError::Random`], [`KeyRingError::UncreatedFile`].
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self, KeyRingError> {
        let master = random()?;
        let mut text = Zeroizing::new([0; Self::TEXT_LEN]);
        // Fails only if the buffer has another length.
        Base64::encode(master.as_bytes(), &mut *text).map_err(|_| KeyRingError::Random)?;
        key_file::create(path.as_ref(), &*text)?;
        Ok(Self(Source::Raw(master)))
    }

    fn decode(text: &[u8], origin: impl FnOnce() -> KeyOrigin) -> Result<Self, KeyRingError> {
        let problem = match text.len() {
            Self::TEXT_LEN => "it is not standard base64 of 32 bytes",
            0 => "it is empty",
            _ => "it does not have 44 characters, the length of 32 bytes in base64",
        };
        let master = Master::fill(|master| {
            let mut bytes = Zeroizing::new([0; 33]);
            match Base64::decode(text, &mut *bytes) {
                Ok(decoded) if decoded.len() == master.len() => {
                    master.copy_from_slice(decoded);
                    Ok(())
                }
                _ => Err(()),
            }
        });
        match master {
            Ok(master) => Ok(Self(Source::Raw(master))),
            Err(()) => Err(KeyRingError::Malformed { origin: origin(), problem }),
        }
    }
}

fn random() -> Result<Master, KeyRingError> {
    Master::fill(|master| SystemRandom::new().fill(master)).map_err(|_| KeyRingError::Random)
}

impl From<Passphrase> for SealingKey {
    fn from(passphrase: Passphrase) -> Self {
        Self(Source::Passphrase(passphrase))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Raw(_) => f.write_str("SealingKey([REDACTED])"),
            Source::Passphrase(passphrase) => f.debug_tuple("SealingKey").field(passphrase).finish(),
        }
    }
}
