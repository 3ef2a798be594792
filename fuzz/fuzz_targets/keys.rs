//! Keys and rings: a key's text is accepted exactly if another base64 decoder accepts it, from a
//! variable and from a file, and a ring is built exactly from distinct ids that include the active
//! one.
#![no_main]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cred_core::{CredentialMetadata, CredentialPath, KeyId, Sealer as _, Zeroizing};
use cred_crypto::{KeyRing, KeyRingError, SealingKey};
use cred_fuzz::{planted, silent};
use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for bytes in [input, &planted(input)] {
        key(bytes);
        ring(bytes);
    }
});

/// The key in a text, by another decoder.
fn expected(text: &[u8]) -> Option<[u8; 32]> {
    let bytes = STANDARD.decode(text).ok().filter(|_| text.len() == 44)?;
    bytes.try_into().ok()
}

fn key(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        same(expected(bytes), SealingKey::from_base64(text));
        let variable = |_: &str| Some(text.to_owned());
        same(expected(bytes), SealingKey::from_env_with("CRED_KEY", variable));
        // The key, given where its name belongs.
        match SealingKey::from_env_with(text, |_| None) {
            Err(KeyRingError::VariableName) => {}
            Err(KeyRingError::MissingVariable { variable }) => {
                assert!(expected(variable.as_bytes()).is_none(), "a key is taken for a name, and repeated");
            }
            other => panic!("{other:?}"),
        }
    }
    let line = match bytes.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => bytes,
    };
    same(expected(line), SealingKey::from_file(file(bytes)));
}

/// The key equals that of the other decoder: one opens what the other seals.
fn same(expected: Option<[u8; 32]>, key: Result<SealingKey, KeyRingError>) {
    match (expected, key) {
        (Some(bytes), Ok(key)) => {
            let path: CredentialPath = "org:acme/key".parse().expect("a path");
            let metadata = CredentialMetadata::default();
            let of = |key| KeyRing::builder(id("k")).key(id("k"), key).build().expect("a ring of one key");
            let (one, other) = (of(key), of(SealingKey::from_bytes(Zeroizing::new(bytes))));
            let sealed =
                one.seal(path.as_path_ref(), &metadata, b"secret").now_or_never().expect("no waiting");
            let sealed = sealed.expect("a sealed secret");
            let opened =
                other.open(path.as_path_ref(), &sealed, &metadata).now_or_never().expect("no waiting");
            assert_eq!(*opened.expect("the same key").secret, b"secret");
        }
        (None, Err(error)) => silent(&error),
        (expected, key) => {
            panic!("another decoder accepts it: {}, and this one: {key:?}", expected.is_some())
        }
    }
}

/// The first line is the active key's id, each other one that of a key.
fn ring(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let ids: Vec<KeyId> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let Some((active, ids)) = ids.split_first() else { return };
    let mut builder = KeyRing::builder(active.clone());
    for (number, id) in ids.iter().enumerate() {
        let byte = u8::try_from(number % 256).unwrap_or_default();
        builder = builder.key(id.clone(), SealingKey::from_bytes(Zeroizing::new([byte; 32])));
    }
    let differ: BTreeSet<_> = ids.iter().collect();
    match builder.build() {
        Ok(ring) => {
            assert!(differ.len() == ids.len() && differ.contains(active));
            assert!(ring.key_ids().eq(differ));
            assert_eq!(ring.active_key_id(), *active);
        }
        Err(KeyRingError::DuplicateKey { key_id }) => {
            assert!(ids.iter().filter(|id| **id == key_id).count() > 1);
        }
        Err(KeyRingError::MissingActiveKey { key_id }) => {
            assert!(key_id == *active && !differ.contains(active));
        }
        Err(other) => panic!("{other:?}"),
    }
}

fn id(text: &str) -> KeyId {
    text.parse().expect("a key id")
}

/// A file with this content, which only its owner can use.
fn file(bytes: &[u8]) -> &'static Path {
    static PLACE: LazyLock<(tempfile::TempDir, std::path::PathBuf)> = LazyLock::new(|| {
        let folder = cred_fuzz::folder();
        let path = folder.path().join("key");
        (folder, path)
    });
    let path = &PLACE.1;
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file");
    file.write_all(bytes).expect("room");
    path
}
