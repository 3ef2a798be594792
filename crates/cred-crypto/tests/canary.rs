//! Prints every type and error that handles a known key, passphrase or secret, and searches the
//! output for it.

#![cfg(test)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use cred_core::{
    CredentialMetadata, CredentialPath, ExposeSecret, Sealer, SecretString, Timestamp, Zeroizing,
};
use cred_crypto::{Argon2Params, KeyRing, Passphrase, SealingKey};
use cred_testing::printed::Printed;

const PASSPHRASE: &str = "canary-passphrase-1c9e";
const SECRET: &str = "canary-secret-77ab";
const KEY: [u8; 32] = *b"canary-key-of-thirty-two-bytes!!";
const KEY_TEXT: &str = "Y2FuYXJ5LWtleS1vZi10aGlydHktdHdvLWJ5dGVzISE=";

/// The canaries as text, as hex, as base64, and as a list of numbers.
fn encodings() -> Vec<String> {
    let mut encodings = Vec::new();
    for bytes in [PASSPHRASE.as_bytes(), SECRET.as_bytes(), &KEY] {
        encodings.push(String::from_utf8(bytes.to_vec()).unwrap());
        encodings.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        encodings.push(format!("{bytes:?}").trim_matches(['[', ']']).to_owned());
    }
    // Without the last group, because the canary may be part of a longer text.
    encodings.push(KEY_TEXT[..40].to_owned());
    encodings
}

/// Returns the message of a panic.
fn panic_message(body: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(body)).unwrap_err();
    payload.downcast_ref::<String>().unwrap().clone()
}

fn raw() -> SealingKey {
    SealingKey::from_bytes(Zeroizing::new(KEY))
}

fn passphrase() -> Passphrase {
    let params = Argon2Params::new(8, 1, 1).unwrap();
    Passphrase::new(SecretString::from(PASSPHRASE)).unwrap().with_params(params).with_kdf_salt([7; 16])
}

#[tokio::test]
async fn printed_output_never_contains_a_key_a_passphrase_or_a_secret() {
    let mut printed = Printed::default();
    printed.value(&raw());
    printed.value(&passphrase());
    printed.value(&SealingKey::from(passphrase()));

    let id = |text: &str| text.parse().unwrap();
    let builder = || KeyRing::builder(id("raw")).key(id("raw"), raw()).key(id("pass"), passphrase());
    printed.value(&builder());
    let ring = builder().build().unwrap();
    printed.value(&ring);
    printed.error(&builder().key(id("raw"), raw()).build().unwrap_err());
    printed.error(&KeyRing::builder(id("none")).key(id("raw"), raw()).build().unwrap_err());

    for text in
        [KEY_TEXT.to_owned() + "=", KEY_TEXT[1..].to_owned(), PASSPHRASE.to_owned(), SECRET.to_owned()]
    {
        printed.error(&SealingKey::from_base64(&text).unwrap_err());
        printed.error(&SealingKey::from_env_with("KEY", |_| Some(text.clone())).unwrap_err());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        SealingKey::create_file(&path).unwrap();
        std::fs::write(&path, &text).unwrap();
        printed.error(&SealingKey::from_file(&path).unwrap_err());
        printed.text(panic_message(move || drop(SealingKey::from_base64(&text).unwrap())));
    }
    printed.error(&SealingKey::from_env_with(KEY_TEXT, |_| None).unwrap_err());

    let path: CredentialPath = "org:a/id".parse().unwrap();
    let metadata = CredentialMetadata::new(Timestamp::from_unix_millis(1));
    let pass_ring = KeyRing::builder(id("pass")).key(id("pass"), passphrase()).build().unwrap();
    for sealer in [&ring, &pass_ring] {
        let data = sealer.seal(path.as_path_ref(), &metadata, SECRET.as_bytes()).await.unwrap();
        let opened = ring.open(path.as_path_ref(), &data, &metadata).await.unwrap();
        assert_eq!(&**opened.secret, SECRET.as_bytes());
        printed.value(&data);
        printed.value(&opened);

        let mut wrong = data.clone();
        wrong.commitment = [0; 32];
        let mut tampered = data.clone();
        tampered.tag = [0; 16];
        let mut unknown = data.clone();
        unknown.key_id = id("none");
        let stripped = metadata.clone().with_expires_at(Timestamp::default());
        for (data, outer) in
            [(wrong, &metadata), (tampered, &metadata), (unknown, &metadata), (data, &stripped)]
        {
            let refused = ring.open(path.as_path_ref(), &data, outer).await;
            printed.error(refused.as_ref().unwrap_err());
            printed.text(panic_message(move || drop(refused.unwrap())));
        }
    }

    assert!(printed.count() > 30);
    printed.holds_none_of(&encodings().iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_search_finds_each_encoding() {
    assert_eq!(SecretString::from(PASSPHRASE).expose_secret(), PASSPHRASE);
    let shown = format!("{KEY:?} {PASSPHRASE} {SECRET} {KEY_TEXT}");
    assert_eq!(encodings().iter().filter(|shape| shown.contains(*shape)).count(), 4);
}
