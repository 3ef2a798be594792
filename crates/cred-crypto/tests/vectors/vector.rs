//! The common part of both vector files, as Rust types. `README.md` documents the fields.

use std::collections::BTreeMap;

use cred_core::{CredentialMetadata, CredentialPath, EncryptedData, RotationPolicy, Timestamp, WrappedKey};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) key: Key,
    pub(crate) path: Path,
    pub(crate) outer_metadata: Metadata,
    pub(crate) envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) raw: Option<Hex>,
    #[serde(default)]
    pub(crate) kms: bool,
    pub(crate) passphrase: Option<String>,
    #[serde(rename = "kdf_salt")]
    _kdf_salt: Option<Hex>,
    pub(crate) m_kib: Option<u32>,
    pub(crate) t: Option<u32>,
    pub(crate) p: Option<u32>,
}

#[derive(Deserialize)]
pub(crate) struct Path {
    scope: Option<String>,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    created_at: u64,
    last_modified: u64,
    version: u64,
    tags: BTreeMap<String, String>,
    expires_at: Option<u64>,
    rotation: Option<Rotation>,
    created_by: Option<String>,
    unknown: BTreeMap<String, Hex>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Rotation {
    Periodic { interval_ms: u64 },
    BeforeExpiry { lead_ms: u64 },
    At { at: u64 },
    Manual,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope {
    version: u8,
    pub(crate) key_id: String,
    salt: Hex,
    nonce: Hex,
    commitment: Hex,
    pub(crate) ciphertext: Hex,
    tag: Hex,
    pub(crate) kdf_salt: Option<Hex>,
    pub(crate) wrapped_key: Option<Hex>,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16);
        (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl Hex {
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().expect("the vector has the form that README.md documents")
    }
}

impl Path {
    pub(crate) fn parse(&self) -> CredentialPath {
        let scope = self
            .scope
            .as_ref()
            .map(|scope| scope.parse().expect("the vector has the form that README.md documents"));
        CredentialPath::new(scope, self.id.parse().expect("the vector has the form that README.md documents"))
    }
}

impl Metadata {
    pub(crate) fn parse(&self) -> CredentialMetadata {
        let at = Timestamp::from_unix_millis;
        let mut metadata = CredentialMetadata::new(at(self.created_at));
        metadata.last_modified = at(self.last_modified);
        metadata.version = self.version;
        metadata.tags =
            self.tags.clone().try_into().expect("the vector has the form that README.md documents");
        metadata.expires_at = self.expires_at.map(at);
        metadata.rotation = self.rotation.as_ref().map(|rotation| match *rotation {
            Rotation::Periodic { interval_ms } => RotationPolicy::Periodic { interval_ms },
            Rotation::BeforeExpiry { lead_ms } => RotationPolicy::BeforeExpiry { lead_ms },
            Rotation::At { at: moment } => RotationPolicy::At { at: at(moment) },
            Rotation::Manual => RotationPolicy::Manual,
        });
        let creator = |name: &String| name.parse().expect("the vector has the form that README.md documents");
        metadata.created_by = self.created_by.as_ref().map(creator);
        for (number, value) in &self.unknown {
            metadata
                .unknown
                .insert(
                    number.parse().expect("the vector has the form that README.md documents"),
                    value.0.clone(),
                )
                .expect("the vector has the form that README.md documents");
        }
        metadata
    }
}

impl Envelope {
    /// Returns `None` if the types cannot represent the envelope.
    pub(crate) fn parse(&self) -> Option<EncryptedData> {
        assert_eq!(self.version, 1);
        let wrapped_key = match &self.wrapped_key {
            None => None,
            Some(bytes) => Some(WrappedKey::new(bytes.0.clone()).ok()?),
        };
        let data = EncryptedData::new(
            self.key_id.parse().expect("the vector has the form that README.md documents"),
            self.salt.array(),
            self.commitment.array(),
            self.nonce.array(),
            self.ciphertext.0.clone(),
            self.tag.array(),
        );
        Some(data.with_kdf_salt(self.kdf_salt.as_ref().map(Hex::array)).with_wrapped_key(wrapped_key))
    }
}
