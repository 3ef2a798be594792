//! Sources of raw keys, and the input that they refuse.

#![cfg(test)]

use std::path::Path;

use cred_core::{CredentialMetadata, CredentialPath, KeyId, Sealer, Timestamp, Zeroizing};
use cred_crypto::{KeyOrigin, KeyRing, KeyRingError, SealingKey};
use cred_testing::process::has_env;

/// The bytes 00 01 .. 1f.
const TEXT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn bytes() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(std::array::from_fn(|index| index.try_into().unwrap()))
}

fn id() -> KeyId {
    "k1".parse().unwrap()
}

fn ring(key: SealingKey) -> KeyRing {
    KeyRing::builder(id()).key(id(), key).build().unwrap()
}

/// Two rings have the same key if one opens a credential that the other sealed.
async fn have_the_same_key(a: &KeyRing, b: &KeyRing) -> bool {
    let path: CredentialPath = "org:a/id".parse().unwrap();
    let metadata = CredentialMetadata::new(Timestamp::from_unix_millis(1));
    let data = a.seal(path.as_path_ref(), &metadata, b"secret").await.unwrap();
    b.open(path.as_path_ref(), &data, &metadata).await.is_ok()
}

fn not_keys() -> Vec<String> {
    let hex = "00".repeat(32);
    let url_safe = TEXT.replace('A', "-").replace('B', "_");
    let unpadded = TEXT.trim_end_matches('=').to_owned();
    // The last character has two unused bits, which must be zero.
    let loose_bits = TEXT.replace("8=", "9=");
    let of_31_bytes = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==".to_owned();
    let of_33_bytes = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g".to_owned();
    let mut texts = vec![hex, url_safe, unpadded, loose_bits, of_31_bytes, of_33_bytes];
    texts.extend(["", "=", "hunter2", &"=".repeat(44), &"é".repeat(22)].map(str::to_owned));
    texts.extend([format!("\"{TEXT}\""), format!(" {TEXT}"), format!("{TEXT} "), format!("{TEXT}\n\n")]);
    texts.extend([
        format!("{TEXT}\r"),
        format!("{TEXT}\n{TEXT}\n"),
        format!("\u{feff}{TEXT}"),
        TEXT.repeat(1_000),
    ]);
    texts
}

#[tokio::test]
async fn the_text_form_is_padded_base64() {
    let key = SealingKey::from_base64(TEXT).unwrap();
    assert!(have_the_same_key(&ring(key), &ring(SealingKey::from_bytes(bytes()))).await);
}

#[test]
fn other_texts_are_refused_and_not_printed() {
    for text in not_keys().into_iter().chain([format!("{TEXT}\n")]) {
        let error = SealingKey::from_base64(&text).unwrap_err();
        assert!(matches!(error, KeyRingError::Malformed { origin: KeyOrigin::Text, .. }), "{text:?}");
        let printed = format!("{error} {error:?}");
        assert!(printed.contains("base64"), "{printed}");
        assert!(text.len() < 5 || !printed.contains(&text), "{printed}");
    }
}

#[tokio::test]
async fn a_key_is_read_from_a_variable() {
    let env = |name: &str| (name == "CRED_KEY").then(|| TEXT.to_owned());
    let key = KeyRing::from_env_with(id(), "CRED_KEY", env).unwrap();
    assert!(have_the_same_key(&key, &ring(SealingKey::from_bytes(bytes()))).await);

    let missing = KeyRing::from_env_with(id(), "OTHER", env).unwrap_err();
    assert!(
        matches!(&missing, KeyRingError::MissingVariable { variable } if variable == "OTHER"),
        "{missing}"
    );
    for text in not_keys().into_iter().chain([format!("{TEXT}\n")]) {
        let error = SealingKey::from_env_with("CRED_KEY", |_| Some(text.clone())).unwrap_err();
        assert!(matches!(error, KeyRingError::Malformed { .. }), "{text:?}");
        assert!(error.to_string().contains("`CRED_KEY`"), "{error}");
        assert!(text.len() < 5 || !format!("{error:?}").contains(&text));
    }
}

#[tokio::test]
async fn a_key_is_read_from_the_environment_of_the_process() {
    let test = "a_key_is_read_from_the_environment_of_the_process";
    if !has_env(test, &[("CRED_TEST_KEY", TEXT), ("CRED_TEST_EMPTY", "")]) {
        return;
    }
    let key = KeyRing::from_env(id(), "CRED_TEST_KEY").unwrap();
    assert!(have_the_same_key(&key, &ring(SealingKey::from_bytes(bytes()))).await);
    let error = |variable| KeyRing::from_env(id(), variable).unwrap_err();
    assert!(matches!(error("CRED_TEST_UNSET"), KeyRingError::MissingVariable { .. }));
    assert!(matches!(error("CRED_TEST_EMPTY"), KeyRingError::Malformed { .. }));
    assert!(matches!(error(TEXT), KeyRingError::VariableName));
}

#[test]
fn a_key_that_is_passed_as_a_variable_name_is_not_printed() {
    for name in [TEXT, "", "A B", &"A".repeat(129)] {
        let error = SealingKey::from_env_with(name, |_| Some(TEXT.to_owned())).unwrap_err();
        assert!(matches!(error, KeyRingError::VariableName), "{name:?}");
    }
}

#[tokio::test]
async fn generated_keys_differ() {
    let (a, b) = (KeyRing::generate(id()).unwrap(), KeyRing::generate(id()).unwrap());
    assert!(have_the_same_key(&a, &a.clone()).await);
    assert!(!have_the_same_key(&a, &b).await);
}

#[tokio::test]
async fn a_created_file_holds_the_key_and_is_never_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let created = ring(SealingKey::create_file(&path).unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!((text.len(), text.ends_with("=\n")), (45, true));
    assert!(have_the_same_key(&created, &KeyRing::from_key_file(id(), &path).unwrap()).await);

    let again = SealingKey::create_file(&path).unwrap_err();
    assert!(matches!(again, KeyRingError::UncreatedFile { .. }), "{again}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let nowhere = SealingKey::create_file(directory.path().join("none/key")).unwrap_err();
    assert!(matches!(nowhere, KeyRingError::UncreatedFile { .. }), "{nowhere}");
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        let _ = fs::remove_file(path);
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_created_file_is_readable_only_by_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        SealingKey::create_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[tokio::test]
    async fn a_file_may_end_with_one_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for end in ["", "\n", "\r\n"] {
            write(&path, &format!("{TEXT}{end}"), 0o400);
            let key = ring(SealingKey::from_file(&path).unwrap());
            assert!(have_the_same_key(&key, &ring(SealingKey::from_bytes(bytes()))).await, "{end:?}");
        }
        for text in not_keys() {
            write(&path, &text, 0o600);
            let error = SealingKey::from_file(&path).unwrap_err();
            assert!(matches!(error, KeyRingError::Malformed { .. }), "{text:?}");
            assert!(error.to_string().contains("key`"), "{error}");
            assert!(text.len() < 5 || !format!("{error:?}").contains(&text));
        }
    }

    #[test]
    fn a_file_accessible_to_other_users_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
            write(&path, TEXT, 0o600 | bit);
            let error = SealingKey::from_file(&path).unwrap_err();
            assert!(
                matches!(error, KeyRingError::ExposedFile { mode, .. } if mode == 0o600 | bit),
                "{error}"
            );
        }
        write(&path, TEXT, 0o600);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(SealingKey::from_file(&link).is_ok(), "Kubernetes mounts secrets as links");
        write(&path, TEXT, 0o644);
        assert!(
            SealingKey::from_file(&link).is_err(),
            "the permissions of the file are checked, not of the link"
        );
    }

    #[test]
    fn a_path_that_is_not_a_regular_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [directory.path(), Path::new("/dev/zero"), &pipe] {
            let error = SealingKey::from_file(path).unwrap_err();
            assert!(matches!(error, KeyRingError::NotAFile { .. }), "{error}");
        }
        let error = SealingKey::from_file(directory.path().join("none")).unwrap_err();
        assert!(matches!(error, KeyRingError::UnreadableFile { .. }), "{error}");
    }
}
