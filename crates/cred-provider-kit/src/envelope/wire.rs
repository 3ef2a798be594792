//! The JSON encoding. Encoding borrows everything, and decoding allocates only the data that is
//! kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use cred_core::{
    CreatedBy, CredentialMetadata, EncryptedData, KeyId, RotationPolicy, SealVersion, StorageError,
    StorageResult, Tags, Timestamp, UnknownFields, WrappedKey,
};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CredentialFile, newer};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<'a> {
    version: u32,
    #[serde(borrow)]
    encrypted_data: Data<'a>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<Fixed<16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<Fixed<16>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data<'a> {
    version: u8,
    #[serde(borrow)]
    key_id: Cow<'a, str>,
    salt: Fixed<32>,
    commitment: Fixed<32>,
    nonce: Fixed<12>,
    ciphertext: Bytes<'a>,
    tag: Fixed<16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped_key: Option<Bytes<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata<'a> {
    created_at: u64,
    last_modified: u64,
    version: u64,
    #[serde(default, skip_serializing_if = "is_empty")]
    tags: Cow<'a, BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<u16, Bytes<'a>>,
}

/// A separate enum, because the one of `cred-core` may grow: a policy that cannot be encoded here
/// is rejected, not guessed.
#[derive(Serialize, Deserialize)]
enum Rotation {
    #[serde(rename = "periodic_ms")]
    Periodic(u64),
    #[serde(rename = "before_expiry_ms")]
    BeforeExpiry(u64),
    #[serde(rename = "at")]
    At(u64),
    #[serde(rename = "manual")]
    Manual,
}

fn is_empty(tags: &BTreeMap<String, String>) -> bool {
    tags.is_empty()
}

impl<'a> Envelope<'a> {
    pub(super) fn of(file: &'a CredentialFile) -> StorageResult<Self> {
        let CredentialFile { version, encrypted_data: data, metadata, salt, path, mark } = file;
        Ok(Self {
            version: *version,
            encrypted_data: Data::of(data),
            metadata: Metadata::of(metadata)?,
            salt: salt.or(data.kdf_salt).map(Fixed),
            path: path.as_ref().map(ToString::to_string),
            mark: mark.map(Fixed),
        })
    }

    /// A length that suffices for the encoding, unless tags or a creator need escapes, so that the
    /// buffer is allocated once.
    pub(super) fn len_hint(&self) -> usize {
        const KEYS_AND_FIXED_VALUES: usize = 544;
        const TAG_PUNCTUATION: usize = 6;
        let base64 = |bytes: &Bytes<'_>| bytes.0.len().div_ceil(3).saturating_mul(4);
        let tags: usize =
            self.metadata.tags.iter().map(|(key, value)| key.len() + value.len() + TAG_PUNCTUATION).sum();
        let extra: usize =
            self.metadata.extra.values().map(|value| base64(value) + 2 * TAG_PUNCTUATION).sum();
        KEYS_AND_FIXED_VALUES
            + base64(&self.encrypted_data.ciphertext)
            + self.encrypted_data.wrapped_key.as_ref().map_or(0, base64)
            + self.path.as_ref().map_or(0, String::len)
            + self.metadata.created_by.as_ref().map_or(0, |name| name.len())
            + tags
            + extra
    }

    /// Converts to the types of the other crates, each through its constructor.
    pub(super) fn into_file(self) -> StorageResult<CredentialFile> {
        let path =
            self.path.map(|path| path.parse().map_err(|_| corrupted("its path is invalid"))).transpose()?;
        Ok(CredentialFile {
            version: self.version,
            encrypted_data: self.encrypted_data.into_data()?,
            metadata: self.metadata.into_metadata()?,
            salt: self.salt.map(|salt| salt.0),
            path,
            mark: self.mark.map(|mark| mark.0),
        })
    }
}

impl<'a> Data<'a> {
    fn of(data: &'a EncryptedData) -> Self {
        Self {
            version: data.version.as_u8(),
            key_id: Cow::Borrowed(data.key_id.as_str()),
            salt: Fixed(data.salt),
            commitment: Fixed(data.commitment),
            nonce: Fixed(data.nonce),
            ciphertext: Bytes(Cow::Borrowed(&data.ciphertext)),
            tag: Fixed(data.tag),
            wrapped_key: data.wrapped_key.as_ref().map(|key| Bytes(Cow::Borrowed(key.as_bytes()))),
        }
    }

    fn into_data(self) -> StorageResult<EncryptedData> {
        let version = match SealVersion::from_u8(self.version) {
            Some(version) => version,
            None if self.version == 0 => return Err(corrupted("its sealed format version does not exist")),
            None => return Err(newer()),
        };
        let key_id = KeyId::new(&self.key_id).map_err(|_| corrupted("its key id is invalid"))?;
        let ciphertext = self.ciphertext.0.into_owned();
        let mut data =
            EncryptedData::new(key_id, self.salt.0, self.commitment.0, self.nonce.0, ciphertext, self.tag.0);
        data.version = version;
        let wrapped_key = self.wrapped_key.map(|key| WrappedKey::new(key.0.into_owned())).transpose();
        Ok(data.with_wrapped_key(wrapped_key.map_err(|_| corrupted("its wrapped key is invalid"))?))
    }
}

impl<'a> Metadata<'a> {
    fn of(metadata: &'a CredentialMetadata) -> StorageResult<Self> {
        Ok(Self {
            created_at: metadata.created_at.as_unix_millis(),
            last_modified: metadata.last_modified.as_unix_millis(),
            version: metadata.version,
            tags: Cow::Borrowed(&metadata.tags),
            expires_at: metadata.expires_at.map(Timestamp::as_unix_millis),
            rotation: metadata.rotation.as_ref().map(Rotation::of).transpose()?,
            created_by: metadata.created_by.as_ref().map(|name| Cow::Borrowed(name.as_str())),
            extra: metadata
                .unknown
                .iter()
                .map(|(number, value)| (*number, Bytes(Cow::Borrowed(value.as_slice()))))
                .collect(),
        })
    }

    fn into_metadata(self) -> StorageResult<CredentialMetadata> {
        let tags =
            Tags::try_from(self.tags.into_owned()).map_err(|_| corrupted("its tags are out of bounds"))?;
        let created_by = self.created_by.map(CreatedBy::new).transpose();
        let created_by =
            created_by.map_err(|_| corrupted("its creator is not 1 to 256 bytes of printable ASCII"))?;
        let mut metadata = CredentialMetadata::new(Timestamp::from_unix_millis(self.created_at))
            .with_tags(tags)
            .with_expires_at(self.expires_at.map(Timestamp::from_unix_millis))
            .with_rotation(self.rotation.map(Rotation::into_policy))
            .with_created_by(created_by);
        metadata.last_modified = Timestamp::from_unix_millis(self.last_modified);
        metadata.version = self.version;
        metadata.unknown = unknown(self.extra)?;
        Ok(metadata)
    }
}

fn unknown(extra: BTreeMap<u16, Bytes<'_>>) -> StorageResult<UnknownFields> {
    let mut unknown = UnknownFields::default();
    for (number, value) in extra {
        unknown
            .insert(number, value.0.into_owned())
            .map_err(|_| corrupted("an extra field has the number of a known or reserved field"))?;
    }
    Ok(unknown)
}

impl Rotation {
    fn of(policy: &RotationPolicy) -> StorageResult<Self> {
        Ok(match *policy {
            RotationPolicy::Periodic { interval_ms } => Self::Periodic(interval_ms),
            RotationPolicy::BeforeExpiry { lead_ms } => Self::BeforeExpiry(lead_ms),
            RotationPolicy::At { at } => Self::At(at.as_unix_millis()),
            RotationPolicy::Manual => Self::Manual,
            _ => {
                let reason = "its rotation policy is newer than this provider; upgrade cred-provider-kit";
                return Err(StorageError::invalid_request(reason));
            }
        })
    }

    const fn into_policy(self) -> RotationPolicy {
        match self {
            Self::Periodic(interval_ms) => RotationPolicy::Periodic { interval_ms },
            Self::BeforeExpiry(lead_ms) => RotationPolicy::BeforeExpiry { lead_ms },
            Self::At(at) => RotationPolicy::At { at: Timestamp::from_unix_millis(at) },
            Self::Manual => RotationPolicy::Manual,
        }
    }
}

fn corrupted(reason: &'static str) -> StorageError {
    StorageError::corrupted(reason)
}

/// Bytes of one length, in padded base64.
struct Fixed<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Fixed<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64Visitor<const N: usize>;
        impl<const N: usize> Visitor<'_> for Base64Visitor<N> {
            type Value = Fixed<N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let mut bytes = [0; N];
                match STANDARD.decode_slice(text, &mut bytes) {
                    Ok(length) if length == N => Ok(Fixed(bytes)),
                    _ => Err(E::custom("invalid base64")),
                }
            }
        }
        deserializer.deserialize_str(Base64Visitor)
    }
}

/// Bytes of any length, in padded base64.
struct Bytes<'a>(Cow<'a, [u8]>);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Bytes<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64Visitor;
        impl Visitor<'_> for Base64Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                STANDARD.decode(text).map_err(|_| E::custom("invalid base64"))
            }
        }
        deserializer.deserialize_str(Base64Visitor).map(|bytes| Self(Cow::Owned(bytes)))
    }
}

/// Returns the version, which is first in every version of the form; `None` if the bytes do not
/// begin with one.
pub(super) fn version(bytes: &[u8]) -> Option<u32> {
    let rest = bytes.strip_prefix(b"{\"version\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

/// A writer that compares the written bytes with the expected ones instead of storing them.
struct CompareWriter<'a> {
    rest: &'a [u8],
}

/// Whether the envelope is encoded as exactly these bytes.
pub(super) fn is_canonical(bytes: &[u8], envelope: &Envelope<'_>) -> bool {
    let mut writer = CompareWriter { rest: bytes };
    serde_json::to_writer(&mut writer, envelope).is_ok() && writer.rest.is_empty()
}

impl Write for CompareWriter<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(written) {
            Some(rest) => {
                self.rest = rest;
                Ok(written.len())
            }
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
