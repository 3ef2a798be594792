//! Sealed credentials whose every byte is known: the vectors of cred-crypto, which another
//! implementation sealed.

#[path = "../../crates/cred-crypto/tests/vectors/vector.rs"]
#[allow(dead_code, reason = "it also describes keys that are not raw")]
mod vector;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use cred_core::{CredentialMetadata, CredentialPath, EncryptedData, Zeroizing};
use cred_crypto::{KeyRing, SealingKey};
use serde::Deserialize;

use self::vector::{Hex, Vector};

/// A credential that was sealed under a raw key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name of the vector.
    pub name: String,
    /// Its path.
    pub path: CredentialPath,
    /// The sealed credential.
    pub data: EncryptedData,
    /// Its metadata, as stored beside it.
    pub metadata: CredentialMetadata,
    /// The secret that was sealed.
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

/// The keys of all of them. One id has one key: those of which another key came first are not among
/// the known.
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
    let vectors: Vec<SealVector> = serde_json::from_str(text).expect("the vectors");
    let mut keys = BTreeMap::new();
    let mut known = Vec::new();
    for vector in vectors {
        let Some(key) = &vector.common.key.raw else { continue };
        let key = key.array();
        let same = *keys.entry(vector.common.envelope.key_id.clone()).or_insert(key) == key;
        if same && vector.secret.0.len() <= LONGEST && vector.common.envelope.wrapped_key.is_none() {
            known.push(vector.known(key));
        }
    }
    known
}

#[derive(Deserialize)]
struct SealVector {
    #[serde(flatten)]
    common: Vector,
    secret: Hex,
    inner: Hex,
}

impl SealVector {
    fn known(self, key: [u8; 32]) -> Known {
        let Self { common, secret, inner } = self;
        let data = common.envelope.parse().expect("an envelope that opens");
        let (path, metadata) = (common.path.parse(), common.outer_metadata.parse());
        Known { name: common.name, path, data, metadata, secret: secret.0, content: inner.0, key }
    }
}
