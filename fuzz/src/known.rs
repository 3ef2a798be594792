//! Sealed credentials whose every byte is known: the vectors of cred-crypto, which another implementation sealed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cred_core::{
    CredentialMetadata, CredentialPath, EncryptedData, RotationPolicy, Tags, Timestamp, WrappedKey, Zeroizing,
};
use cred_crypto::{KeyRing, SealingKey};
use serde::Deserialize;

/// A credential that was sealed under a raw key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What the vector is called.
    pub name: String,
    /// Where it belongs.
    pub path: CredentialPath,
    /// The sealed credential.
    pub data: EncryptedData,
    /// Its metadata as they stand beside it.
    pub metadata: CredentialMetadata,
    /// What was sealed.
    pub secret: Vec<u8>,
    /// The sealed content in clear: metadata and secret.
    pub content: Vec<u8>,
    key: [u8; 32],
}

/// All of up to 4 KiB, each under the key id that it names.
///
/// # Panics
/// If the vectors cannot be read.
#[must_use]
pub fn known() -> &'static [Known] {
    static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(read);
    &KNOWN
}

/// The keys of all of them. One id has one key: those of which another key came first are not among the known.
///
/// # Panics
/// If no ring can be made.
#[must_use]
pub fn ring() -> &'static KeyRing {
    static RING: LazyLock<KeyRing> = LazyLock::new(|| {
        let keys: BTreeMap<_, _> =
            known().iter().map(|known| (known.data.key_id.clone(), known.key)).collect();
        let active = known()[0].data.key_id.clone();
        let mut builder = KeyRing::builder(active);
        for (id, key) in keys {
            builder = builder.key(id, SealingKey::from_bytes(Zeroizing::new(key)));
        }
        builder.build().expect("the keys of the vectors")
    });
    &RING
}

fn read() -> Vec<Known> {
    const LONGEST: usize = 4_096;
    let text = include_str!("../../crates/cred-crypto/tests/vectors/seal-v1.json");
    let vectors: Vec<Vector> = serde_json::from_str(text).expect("the vectors");
    let mut keys = BTreeMap::new();
    let mut known = Vec::new();
    for vector in vectors {
        let Some(key) = &vector.key.raw else { continue };
        let key = key.array();
        let same = *keys.entry(vector.envelope.key_id.clone()).or_insert(key) == key;
        if same && vector.secret.0.len() <= LONGEST && vector.envelope.wrapped_key.is_none() {
            known.push(vector.known(key));
        }
    }
    known
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    key: Key,
    path: Path,
    outer_metadata: Metadata,
    secret: Hex,
    inner: Hex,
    envelope: Envelope,
}

#[derive(Deserialize)]
struct Key {
    raw: Option<Hex>,
}

#[derive(Deserialize)]
struct Path {
    scope: Option<String>,
    id: String,
}

#[derive(Deserialize)]
struct Metadata {
    created_at: u64,
    last_modified: u64,
    version: u64,
    tags: BTreeMap<String, String>,
    expires_at: Option<u64>,
    rotation: Option<Rotation>,
    unknown: BTreeMap<String, Hex>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Rotation {
    Periodic { interval_ms: u64 },
    BeforeExpiry { lead_ms: u64 },
    At { at: u64 },
    Manual,
}

#[derive(Deserialize)]
struct Envelope {
    key_id: String,
    salt: Hex,
    nonce: Hex,
    commitment: Hex,
    ciphertext: Hex,
    tag: Hex,
    kdf_salt: Option<Hex>,
    wrapped_key: Option<Hex>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16);
        (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl Hex {
    fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().expect("a vector of the right length")
    }
}

impl Vector {
    fn known(self, key: [u8; 32]) -> Known {
        let Self { name, path, outer_metadata, secret, inner, envelope, .. } = self;
        let path = CredentialPath {
            scope: path.scope.map(|scope| scope.parse().expect("a scope")),
            id: path.id.parse().expect("an id"),
        };
        let data = EncryptedData::new(
            envelope.key_id.parse().expect("a key id"),
            envelope.salt.array(),
            envelope.commitment.array(),
            envelope.nonce.array(),
            envelope.ciphertext.0,
            envelope.tag.array(),
        )
        .with_kdf_salt(envelope.kdf_salt.map(|salt| salt.array()))
        .with_wrapped_key(envelope.wrapped_key.map(|key| WrappedKey::new(key.0).expect("a wrapped key")));
        Known { name, path, data, metadata: outer_metadata.read(), secret: secret.0, content: inner.0, key }
    }
}

impl Metadata {
    fn read(self) -> CredentialMetadata {
        let rotation = self.rotation.map(|rotation| match rotation {
            Rotation::Periodic { interval_ms } => RotationPolicy::Periodic { interval_ms },
            Rotation::BeforeExpiry { lead_ms } => RotationPolicy::BeforeExpiry { lead_ms },
            Rotation::At { at } => RotationPolicy::At { at: Timestamp::from_unix_millis(at) },
            Rotation::Manual => RotationPolicy::Manual,
        });
        let mut metadata = CredentialMetadata::new(Timestamp::from_unix_millis(self.created_at))
            .with_tags(Tags::try_from(self.tags).expect("tags"))
            .with_expires_at(self.expires_at.map(Timestamp::from_unix_millis))
            .with_rotation(rotation);
        metadata.last_modified = Timestamp::from_unix_millis(self.last_modified);
        metadata.version = self.version;
        for (number, value) in self.unknown {
            metadata.unknown.insert(number.parse().expect("a number"), value.0).expect("an unknown field");
        }
        metadata
    }
}
