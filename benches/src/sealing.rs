//! Sealing and opening 1 KiB with `cred-crypto`, and with the same `ring` primitives composed by
//! hand.

use std::hint::black_box;

use cred_core::{CredentialMetadata, CredentialPath, Sealer as _, Timestamp};
use cred_crypto::KeyRing;
use futures_util::FutureExt as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA512, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq as _;

/// The input of both implementations.
pub struct Secret {
    bytes: Vec<u8>,
    master: [u8; 32],
    ring: KeyRing,
    path: CredentialPath,
    metadata: CredentialMetadata,
}

impl Secret {
    pub fn new() -> Self {
        Self {
            bytes: vec![42; 1_024],
            master: [7; 32],
            ring: KeyRing::generate("main".parse().unwrap()).unwrap(),
            path: "org:acme/stripe-api-key".parse().unwrap(),
            metadata: CredentialMetadata::new(Timestamp::from_unix_millis(1_767_225_600_000)),
        }
    }

    pub fn by_hand(&self) {
        black_box(seal_and_open_by_hand(&self.master, black_box(&self.bytes)));
    }

    pub fn by_cred_crypto(&self) {
        let (path, bytes) = (self.path.as_path_ref(), black_box(&self.bytes));
        let sealed = self.ring.seal(path, &self.metadata, bytes).now_or_never().unwrap().unwrap();
        black_box(self.ring.open(path, &sealed, &self.metadata).now_or_never().unwrap().unwrap());
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::new()
    }
}

struct Okm;

impl KeyType for Okm {
    fn len(&self) -> usize {
        64
    }
}

fn message_key(master: &[u8; 32], salt: &[u8]) -> (LessSafeKey, [u8; 32]) {
    let mut okm = [0; 64];
    Salt::new(HKDF_SHA512, salt)
        .extract(master)
        .expand(&[b"cred/seal/v1"], Okm)
        .unwrap()
        .fill(&mut okm)
        .unwrap();
    let (key, commitment) = okm.split_at(32);
    (LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap()), commitment.try_into().unwrap())
}

/// Has the length of the associated data that cred authenticates for this path.
fn associated_data(draw: &[u8; 44]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(128);
    aad.extend_from_slice(b"cred/aad/v1\0\x01\0\x04main\0\0");
    aad.extend_from_slice(draw);
    aad.extend_from_slice(b"\x01\0\x08org:acme\0\x0estripe-api-key");
    aad
}

fn seal_and_open_by_hand(master: &[u8; 32], secret: &[u8]) -> Vec<u8> {
    let mut draw = [0; 44];
    SystemRandom::new().fill(&mut draw).unwrap();
    let (salt, nonce) = draw.split_at(32);
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let (key, commitment) = message_key(master, salt);
    let mut content = Vec::with_capacity(secret.len() + 64);
    content.extend_from_slice(&[0; 50]);
    content.extend_from_slice(secret);
    let aad = Aad::from(associated_data(&draw));
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut content).unwrap();

    let (key, again) = message_key(master, salt);
    assert!(bool::from(again.ct_eq(&commitment)));
    let mut opened = content.clone();
    let aad = Aad::from(associated_data(&draw));
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.open_in_place_separate_tag(nonce, aad, tag, &mut opened, 0..).unwrap();
    opened
}
