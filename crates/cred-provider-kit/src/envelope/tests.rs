use std::time::Duration;

use cred_core::{
    CreatedBy, KeyId, Limits, RotationPolicy, Sealed, StorageErrorKind, Tags, Timestamp, UnknownFields,
    WrappedKey,
};
use cred_testing::log::Log;
use proptest::prelude::*;
use tracing::Level;

use super::*;

/// A credential with every field set.
fn full() -> CredentialFile {
    let mut tags = Tags::new();
    tags.insert("env", "prod").unwrap();
    tags.insert("über \"x\" \\", "\u{2028}/").unwrap();
    let mut unknown = UnknownFields::default();
    unknown.insert(1_000, b"later".to_vec()).unwrap();
    unknown.insert(8, vec![]).unwrap();
    let mut metadata = CredentialMetadata::new(Timestamp::from_unix_millis(1_767_225_600_000))
        .with_tags(tags)
        .with_expires_at(Timestamp::from_unix_millis(1_893_456_000_000))
        .with_rotation(RotationPolicy::Periodic { interval_ms: 3_600_000 })
        .with_created_by(CreatedBy::from_static("payments \"a\""));
    metadata.version = 3;
    metadata.unknown = unknown;
    CredentialFile::new(data(), metadata)
        .with_path(Some("org:acme/stripe".parse().unwrap()))
        .with_mark(Some([8; 16]))
}

fn data() -> EncryptedData {
    EncryptedData::new(KeyId::new("main").unwrap(), [1; 32], [2; 32], [3; 12], (0..=255).collect(), [4; 16])
        .with_kdf_salt(Some([5; 16]))
        .with_wrapped_key(Some(WrappedKey::new(vec![6; 40]).unwrap()))
}

fn bare() -> CredentialFile {
    let data = EncryptedData::new(KeyId::new("k").unwrap(), [0; 32], [0; 32], [0; 12], vec![], [0; 16]);
    CredentialFile::new(data, CredentialMetadata::default())
}

fn kind(bytes: &[u8]) -> StorageErrorKind {
    CredentialFile::decode(bytes).unwrap_err().kind().clone()
}

#[test]
fn the_encoding_matches_the_documentation() {
    let text = String::from_utf8(bare().encode().unwrap()).unwrap();
    let zeros = |count: usize| "A".repeat(count);
    let expected = format!(
        "{{\"version\":1,\"encrypted_data\":{{\"version\":1,\"key_id\":\"k\",\"salt\":\"{}=\",\"commitment\":\"{}=\",\
         \"nonce\":\"{}\",\"ciphertext\":\"\",\"tag\":\"{}==\"}},\
         \"metadata\":{{\"created_at\":0,\"last_modified\":0,\"version\":0}}}}",
        zeros(43),
        zeros(43),
        zeros(16),
        zeros(22)
    );
    assert_eq!(text, expected);
}

#[test]
fn each_field_is_encoded_in_its_documented_place() {
    let text = String::from_utf8(full().encode().unwrap()).unwrap();
    assert!(text.ends_with(",\"salt\":\"BQUFBQUFBQUFBQUFBQUFBQ==\",\"path\":\"org:acme/stripe\",\"mark\":\"CAgICAgICAgICAgICAgICA==\"}"), "{text}");
    assert!(
        text.contains("\"rotation\":{\"periodic_ms\":3600000},\"created_by\":\"payments \\\"a\\\"\",\"extra\":{\"8\":\"\",\"1000\":\"bGF0ZXI=\"}}")
    );
    assert!(!text.contains("kdf_salt"));
    for (policy, written) in [
        (RotationPolicy::BeforeExpiry { lead_ms: 1 }, "\"rotation\":{\"before_expiry_ms\":1}"),
        (RotationPolicy::At { at: Timestamp::from_unix_millis(2) }, "\"rotation\":{\"at\":2}"),
        (RotationPolicy::Manual, "\"rotation\":\"manual\""),
    ] {
        let mut file = bare();
        file.metadata.rotation = Some(policy);
        let text = String::from_utf8(file.encode().unwrap()).unwrap();
        assert!(text.contains(written), "{text}");
        assert_eq!(CredentialFile::decode(text.as_bytes()).unwrap(), file);
    }
}

#[test]
fn a_sealed_credential_round_trips_with_its_passphrase_salt() {
    let metadata = full().metadata;
    let bytes = CredentialFile::new(data(), metadata.clone()).encode().unwrap();
    assert_eq!(CredentialFile::decode(&bytes).unwrap().into_sealed(), Sealed::new(data(), metadata));
}

#[test]
fn one_allocation_holds_the_whole_encoding() {
    for file in [full(), bare()] {
        let hint = Envelope::of(&file).unwrap().len_hint();
        let bytes = file.encode().unwrap();
        assert!(bytes.len() <= hint && hint <= bytes.len() + 512, "{} of {hint}", bytes.len());
    }
}

#[test]
fn an_encoding_above_the_recommended_size_is_logged_once_without_its_contents() {
    let file = full();
    let size = file.encode().unwrap().len();
    let path: CredentialPath = "org:acme/stripe".parse().unwrap();
    let logged = |recommended: usize| {
        let limits = Limits::none().with_recommended_payload_len(recommended);
        let description = Description::new("vault", Duration::from_secs(1)).with_limits(limits);
        let (log, listening) = Log::of_thread(Level::TRACE);
        assert_eq!(file.encode_within(&description, path.as_path_ref()).unwrap(), file.encode().unwrap());
        drop(listening);
        log.text()
    };
    assert_eq!(logged(size), "");
    let log = logged(size - 1);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(&format!("size={size}")) && !log.contains("ciphertext"), "{log}");
}

#[test]
fn every_truncation_and_every_flipped_bit_is_rejected_or_decodes_to_another_credential() {
    let (file, bytes) = (full(), full().encode().unwrap());
    for length in 0..bytes.len() {
        assert!(matches!(kind(&bytes[..length]), StorageErrorKind::Corrupted { .. }), "cut to {length}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = CredentialFile::decode(&flipped) {
            assert_ne!(other, file, "bit {bit}");
            assert_eq!(other.encode().unwrap(), flipped, "bit {bit}");
        }
    }
}

#[test]
fn equivalent_json_in_another_form_is_corrupted() {
    let text = String::from_utf8(full().encode().unwrap()).unwrap();
    let reworded = [
        format!("{text}\n"),
        format!(" {text}"),
        text.replace("\"version\":1,\"encrypted", "\"version\": 1,\"encrypted"),
        text.replace("\"expires_at\":1893456000000", "\"expires_at\":1893456000000.0"),
        text.replace("\"expires_at\":1893456000000", "\"expires_at\":1.893456e12"),
        text.replace("\"env\":\"prod\"", "\"env\":\"pro\\u0064\""),
        text.replace("\"env\":\"prod\"", "\"env\":\"dev\",\"env\":\"prod\""),
        text.replace("\"8\":\"\",\"1000\":\"bGF0ZXI=\"", "\"1000\":\"bGF0ZXI=\",\"8\":\"\""),
        text.replace("\"8\":", "\"08\":"),
        text.replace("payments ", "pay\\u006dents "),
        text.replace("payments \\\"a\\\"", ""),
        text.replace("payments ", "pay\u{20ac}ments "),
        text.replace("payments ", "pay\\nments "),
        text.replace("payments ", &"x".repeat(254)),
        text.replace("\"created_by\":\"payments \\\"a\\\"\"", "\"created_by\":null"),
        text.replace("bGF0ZXI=", "bGF0ZXJ="),
        text.replace("bGF0ZXI=", "bGF0ZXI"),
        text.replace(",\"path\":\"org:acme/stripe\"", ",\"path\":null"),
        text.replace(",\"path\":\"org:acme/stripe\"", ",\"other\":1"),
        text.replace(",\"path\":\"org:acme/stripe\"", ",\"path\":\"org:acme/../stripe\""),
        text.replace("\"8\":", "\"7\":"),
        text.replace("\"key_id\":\"main\"", "\"key_id\":\"ma in\""),
        text.replace("{\"version\":1,\"encrypted", "{\"version\":0,\"encrypted"),
        text.replace("_data\":{\"version\":1", "_data\":{\"version\":0"),
    ];
    for bytes in &reworded {
        assert_ne!(bytes, &text);
        assert!(matches!(kind(bytes.as_bytes()), StorageErrorKind::Corrupted { .. }), "{bytes}");
    }
    let empties = String::from_utf8(bare().encode().unwrap()).unwrap();
    let with_tags = empties.replace("\"version\":0}", "\"version\":0,\"tags\":{}}");
    assert!(matches!(kind(with_tags.as_bytes()), StorageErrorKind::Corrupted { .. }));
}

#[test]
fn a_newer_version_is_reported_whatever_its_contents() {
    let text = String::from_utf8(bare().encode().unwrap()).unwrap();
    for newer in [
        text.replacen("\"version\":1", "\"version\":2", 1),
        text.replace("_data\":{\"version\":1", "_data\":{\"version\":2"),
        "{\"version\":2,\"what\":[1.5]}".to_owned(),
    ] {
        let error = CredentialFile::decode(newer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("version is newer than this library supports"), "{newer}: {error}");
    }
    assert!(!bare().needs_migration());
    assert!(CredentialFile { version: 0, ..bare() }.needs_migration());
}

#[test]
fn no_error_repeats_the_input() {
    let text = String::from_utf8(full().encode().unwrap()).unwrap();
    for broken in ["hunter2", "\"hunter2\"", "{\"hunter2\":1}", "{\"version\":\"hunter2\"}"]
        .map(str::to_owned)
        .into_iter()
        .chain([text.replace("\"nonce\"", "\"hunter2\""), text.replace("\"main\"", "\"hunter2 \"")])
    {
        let error = CredentialFile::decode(broken.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

fn any_policy() -> impl Strategy<Value = RotationPolicy> {
    prop_oneof![
        any::<u64>().prop_map(|interval_ms| RotationPolicy::Periodic { interval_ms }),
        any::<u64>().prop_map(|lead_ms| RotationPolicy::BeforeExpiry { lead_ms }),
        any::<u64>().prop_map(|at| RotationPolicy::At { at: Timestamp::from_unix_millis(at) }),
        Just(RotationPolicy::Manual),
    ]
}

fn any_metadata() -> impl Strategy<Value = CredentialMetadata> {
    let tags = prop::collection::btree_map("\\PC{1,9}", "\\PC{0,9}", 0..4);
    let unknown = prop::collection::btree_map(UnknownFields::NUMBERS, any::<Vec<u8>>(), 0..3);
    let created_by = prop::option::of("[ -~]{1,256}");
    let numbers = any::<(u64, u64, u64, Option<u64>)>();
    (numbers, tags, prop::option::of(any_policy()), created_by, unknown).prop_map(
        |((created_at, last_modified, version, expires_at), tags, rotation, created_by, unknown)| {
            let mut metadata = CredentialMetadata::new(Timestamp::from_unix_millis(created_at))
                .with_tags(Tags::try_from(tags).unwrap())
                .with_expires_at(expires_at.map(Timestamp::from_unix_millis))
                .with_rotation(rotation)
                .with_created_by(created_by.map(|name| name.parse().unwrap()));
            metadata.last_modified = Timestamp::from_unix_millis(last_modified);
            metadata.version = version;
            for (number, value) in unknown {
                metadata.unknown.insert(number, value).unwrap();
            }
            metadata
        },
    )
}

fn any_data() -> impl Strategy<Value = EncryptedData> {
    let arrays = any::<([u8; 32], [u8; 32], [u8; 12], [u8; 16], Option<[u8; 16]>)>();
    let wrapped = prop::option::of(prop::collection::vec(any::<u8>(), 1..64));
    ("[A-Za-z0-9._-]{1,64}", arrays, any::<Vec<u8>>(), wrapped).prop_map(
        |(key_id, (salt, commitment, nonce, tag, kdf_salt), ciphertext, wrapped)| {
            EncryptedData::new(KeyId::new(key_id).unwrap(), salt, commitment, nonce, ciphertext, tag)
                .with_kdf_salt(kdf_salt)
                .with_wrapped_key(wrapped.map(|key| WrappedKey::new(key).unwrap()))
        },
    )
}

proptest! {
    #[test]
    fn every_credential_round_trips(
        data in any_data(),
        metadata in any_metadata(),
        path in prop::option::of("(org:[a-z]{1,3}/)?[a-z]{1,3}"),
        mark in any::<Option<[u8; 16]>>(),
    ) {
        let path: Option<CredentialPath> = path.map(|path| path.parse().unwrap());
        let file = CredentialFile::new(data.clone(), metadata.clone()).with_path(path).with_mark(mark);
        let decoded = CredentialFile::decode(&file.encode().unwrap()).unwrap();
        prop_assert_eq!(&decoded, &file);
        prop_assert_eq!(decoded.into_sealed(), Sealed { data, metadata });
    }

    #[test]
    fn arbitrary_bytes_are_rejected(bytes in any::<Vec<u8>>(), text in "[\\[\\]{}:,\"0-9a-z_.\\\\ -]{0,80}") {
        prop_assert!(CredentialFile::decode(&bytes).is_err());
        prop_assert!(CredentialFile::decode(text.as_bytes()).is_err());
    }

    #[test]
    fn a_credential_decoded_from_damaged_bytes_encodes_to_those_bytes(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = full().encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(file) = CredentialFile::decode(&bytes) {
            prop_assert_eq!(file.encode().unwrap(), bytes);
        }
    }
}
