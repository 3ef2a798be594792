//! Passphrases through the public API, with real but cheap Argon2id.

#![cfg(test)]

use std::sync::Arc;

use cred_core::{CredentialMetadata, CredentialPath, EncryptedData, SealError, Sealer, Timestamp};
use cred_crypto::{Argon2Params, KeyRing, KeyRingError, Passphrase};

fn cheap() -> Argon2Params {
    Argon2Params::new(8, 1, 1).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.into()).unwrap().with_params(cheap())
}

fn ring(passphrase: Passphrase) -> KeyRing {
    KeyRing::builder("p1".parse().unwrap()).key("p1".parse().unwrap(), passphrase).build().unwrap()
}

fn path() -> CredentialPath {
    "org:a/id".parse().unwrap()
}

fn metadata() -> CredentialMetadata {
    CredentialMetadata::new(Timestamp::from_unix_millis(1))
}

async fn seal(ring: &KeyRing) -> EncryptedData {
    ring.seal(path().as_path_ref(), &metadata(), b"secret").await.unwrap()
}

async fn open(ring: &KeyRing, data: &EncryptedData) -> Result<Vec<u8>, SealError> {
    ring.open(path().as_path_ref(), data, &metadata()).await.map(|opened| opened.secret.to_vec())
}

#[tokio::test]
async fn services_that_share_a_passphrase_open_each_others_credentials() {
    let (a, b) = (ring(passphrase("correct horse")), ring(passphrase("correct horse")));
    let (from_a, from_b) = (seal(&a).await, seal(&b).await);
    assert_ne!(from_a.kdf_salt, from_b.kdf_salt, "neither has a configured salt");
    assert_eq!(open(&a, &from_b).await.unwrap(), b"secret");
    assert_eq!(open(&b, &from_a).await.unwrap(), b"secret");
    assert_eq!(seal(&a).await.kdf_salt, from_a.kdf_salt, "the ring keeps the salt under which it sealed");
}

#[tokio::test]
async fn the_key_depends_on_the_passphrase_and_the_parameters() {
    let data = seal(&ring(passphrase("correct horse").with_kdf_salt([7; 16]))).await;
    assert_eq!(data.kdf_salt, Some([7; 16]));
    let others = [
        passphrase("correct horse "),
        passphrase("Correct horse"),
        passphrase("correct horse").with_params(Argon2Params::new(9, 1, 1).unwrap()),
        passphrase("correct horse").with_params(Argon2Params::new(8, 2, 1).unwrap()),
        passphrase("correct horse").with_params(Argon2Params::new(16, 1, 2).unwrap()),
    ];
    for other in others {
        let error = open(&ring(other), &data).await.unwrap_err();
        assert!(matches!(error, SealError::WrongKey { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_open_under_many_salts() {
    let reader = Arc::new(ring(passphrase("correct horse")));
    let mut envelopes = Vec::new();
    for number in 0..6 {
        envelopes.push(seal(&ring(passphrase("correct horse").with_kdf_salt([number; 16]))).await);
    }
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let (reader, data) = (reader.clone(), envelopes[number % 6].clone());
            tokio::spawn(async move { open(&reader, &data).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), b"secret");
    }
}

#[tokio::test]
async fn dropping_a_waiting_future_does_not_affect_later_calls() {
    let writer = ring(passphrase("correct horse"));
    let data = seal(&writer).await;
    let reader = ring(passphrase("correct horse"));
    for _ in 0..50 {
        let path = path();
        let metadata = metadata();
        // Polls the future once and drops it: with `biased`, the second branch is polled only if
        // the first one is pending.
        tokio::select! {
            biased;
            _ = reader.open(path.as_path_ref(), &data, &metadata) => {}
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(open(&reader, &data).await.unwrap(), b"secret");
}

#[test]
fn an_empty_passphrase_is_refused() {
    assert!(matches!(Passphrase::new("".into()), Err(KeyRingError::EmptyPassphrase)));
    assert!(KeyRing::from_passphrase("p1".parse().unwrap(), "".into()).is_err());
}

#[test]
fn parameters_have_lower_and_upper_bounds() {
    let default = Argon2Params::default();
    assert_eq!((default.m_kib(), default.t(), default.p()), (65_536, 3, 4));
    for (m_kib, t, p) in [(8, 1, 1), (512, 100, 64), (4 * 1024 * 1024, 1, 1), (65_536, 3, 4)] {
        let params = Argon2Params::new(m_kib, t, p).unwrap();
        assert_eq!((params.m_kib(), params.t(), params.p()), (m_kib, t, p));
    }
    let refused = [
        ("m_kib", 7, 1, 1),
        ("m_kib", 31, 1, 4),
        ("m_kib", 4 * 1024 * 1024 + 1, 1, 1),
        ("t", 8, 0, 1),
        ("t", 8, 101, 1),
        ("p", 8, 1, 0),
        ("p", 65_536, 1, 65),
        ("p", 65_536, 1, u32::MAX),
    ];
    for (field, m_kib, t, p) in refused {
        let error = Argon2Params::new(m_kib, t, p).unwrap_err();
        assert!(matches!(error, KeyRingError::Argon2Parameter { name, .. } if name == field), "{error}");
    }
}
