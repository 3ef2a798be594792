//! Tests with the known-answer vectors in `tests/vectors`, which a second implementation wrote. The
//! `README.md` there describes them.

#[path = "../tests/vectors/vector.rs"]
mod vector;

use std::sync::Arc;

use cred_core::{EncryptedData, Opened, SealError, Sealer};
use serde::Deserialize;
use zeroize::Zeroizing;

use self::vector::{Hex, Key, Metadata, Vector};
use crate::master::Master;
use crate::message::{self, ProvenKey, SealWith};
use crate::{Argon2Params, KeyRing, Passphrase, SealingKey, inner};

#[derive(Deserialize)]
struct SealVector {
    #[serde(flatten)]
    common: Vector,
    metadata: Metadata,
    secret: Hex,
    inner: Hex,
    aad: Hex,
    master: Hex,
    okm: Hex,
}

#[derive(Deserialize)]
struct RejectVector {
    #[serde(flatten)]
    common: Vector,
    error: String,
}

impl Vector {
    /// Opens the envelope with a key ring. If a KMS holds the key, which a ring does not support,
    /// it uses the unwrapped master key instead.
    async fn open(&self, data: &EncryptedData) -> Result<Opened, SealError> {
        let (path, outer) = (self.path.parse(), self.outer_metadata.parse());
        if self.key.kms {
            let master = master(self.key.raw.as_ref().unwrap());
            return ProvenKey::prove(&master, path.as_path_ref(), data)?.open(
                path.as_path_ref(),
                data,
                &outer,
            );
        }
        self.key_ring().open(path.as_path_ref(), data, &outer).await
    }

    fn key_ring(&self) -> KeyRing {
        let key: SealingKey = match &self.key {
            Key { raw: Some(raw), .. } => SealingKey::from_bytes(Zeroizing::new(raw.array())),
            Key { passphrase: Some(text), m_kib: Some(m_kib), t: Some(t), p: Some(p), .. } => {
                let params = Argon2Params::new(*m_kib, *t, *p).unwrap();
                Passphrase::new(text.clone().into()).unwrap().with_params(params).into()
            }
            _ => panic!("{}: neither a raw key nor a passphrase", self.name),
        };
        let key_id = self.envelope.key_id.parse().unwrap();
        KeyRing::builder(self.envelope.key_id.parse().unwrap()).key(key_id, key).build().unwrap()
    }
}

fn master(bytes: &Hex) -> Master {
    Master::fill(|master| {
        *master = bytes.array();
        Ok::<_, ()>(())
    })
    .unwrap()
}

fn seal_vectors() -> Vec<SealVector> {
    let vectors: Vec<_> = serde_json::from_str(include_str!("../tests/vectors/seal-v1.json")).unwrap();
    assert_eq!(vectors.len(), 27);
    vectors
}

fn reject_vectors() -> Vec<RejectVector> {
    let vectors: Vec<_> = serde_json::from_str(include_str!("../tests/vectors/reject-v1.json")).unwrap();
    assert_eq!(vectors.len(), 168);
    vectors
}

#[tokio::test]
async fn every_seal_vector_opens() {
    for vector in seal_vectors() {
        let name = &vector.common.name;
        let data = vector.common.envelope.parse().unwrap();
        let opened = vector.common.open(&data).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened.metadata, vector.metadata.parse(), "{name}");
        assert_eq!(*opened.secret, vector.secret.0, "{name}");
    }
}

#[test]
fn sealing_with_the_random_bytes_of_a_vector_reproduces_it() {
    for vector in seal_vectors() {
        let name = &vector.common.name;
        let path = vector.common.path.parse();
        let expected = vector.common.envelope.parse().unwrap();
        let random = [expected.salt.as_slice(), &expected.nonce].concat().try_into().unwrap();
        let master = master(&vector.master);
        let sealing_key = SealWith {
            key_id: &expected.key_id,
            master: &master,
            kdf_salt: expected.kdf_salt,
            wrapped_key: expected.wrapped_key.clone(),
        };
        let sealed = message::seal(
            sealing_key,
            &random,
            path.as_path_ref(),
            &vector.metadata.parse(),
            &vector.secret.0,
        )
        .unwrap();
        assert!(sealed == expected, "{name}");
    }
}

#[test]
fn every_step_reproduces_the_intermediate_values_of_a_vector() {
    for vector in seal_vectors() {
        let name = &vector.common.name;
        let data = vector.common.envelope.parse().unwrap();
        let content = inner::encode(&vector.metadata.parse(), &vector.secret.0).unwrap();
        assert_eq!(*content, vector.inner.0, "{name}: inner");
        assert_eq!(content.capacity(), content.len(), "{name}: a growing buffer leaves copies behind");
        let associated = message::associated_data(vector.common.path.parse().as_path_ref(), &data);
        assert_eq!(associated, vector.aad.0, "{name}: aad");
        let material = message::key_material(&master(&vector.master), &data.salt).unwrap();
        assert_eq!(material.as_slice(), vector.okm.0, "{name}: okm");
    }
}

#[test]
fn argon2id_reproduces_the_master_key_of_a_vector() {
    let mut checked = 0;
    for vector in seal_vectors() {
        let Some(text) = vector.common.key.passphrase.clone() else { continue };
        let passphrase = Arc::new(Passphrase::new(text.into()).unwrap());
        let derived = passphrase.derive(&vector.common.envelope.kdf_salt.as_ref().unwrap().array()).unwrap();
        assert_eq!(derived.as_bytes().as_slice(), vector.master.0, "{}", vector.common.name);
        checked += 1;
    }
    assert_eq!(checked, 2);
}

#[tokio::test]
async fn every_reject_vector_is_refused_with_its_error() {
    for vector in reject_vectors() {
        let name = &vector.common.name;
        let Some(data) = vector.common.envelope.parse() else {
            assert_eq!(
                name, "wrapped-key-added-empty",
                "a type refused an envelope that the reader should refuse"
            );
            continue;
        };
        let error = vector.common.open(&data).await.expect_err(name);
        assert_eq!(*error.path(), vector.common.path.parse(), "{name}");
        let kind = match error {
            SealError::WrongKey { .. } => "wrong_key",
            SealError::Tampered { .. } => "tampered",
            _ => panic!("{name}: {error}"),
        };
        assert_eq!(kind, vector.error, "{name}");
    }
}
