//! A service opens a `cred.toml`, and errors name the line and the field.

use std::error::Error as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use cred_config::model::PassphraseCheck;
use cred_config::{Error, open};
use cred_core::{Credential, field};
use cred_crypto::{KeyRing, Passphrase};
use cred_manager::CredentialManager;

use crate::folder::Folder;

const RING: &str = "[rings.main]\nactive = \"k\"\nkeys.k = { file = \"k.key\" }\n";

/// Whether the profile `soft` was opened, and not another one.
fn is_soft(folder: &Folder, profile: Option<&str>) -> bool {
    open(folder.config(), profile).unwrap().provider.soft_delete().is_some()
}

#[tokio::test]
async fn a_manager_is_built_from_the_opened_store() {
    let folder = Folder::new();
    folder.write("cred.toml", format!("[profiles.p]\nbackend = \"local\"\nbase_path = \"store\"\n{RING}"));
    let opened = || {
        let store = open(folder.config(), None).unwrap();
        CredentialManager::builder().storage(store.provider).keys(store.sealer).build()
    };
    let id = "a".parse().unwrap();
    opened().store(&id, Credential::text("hunter2")).await.unwrap();
    let found = opened().retrieve(&id).await.unwrap().unwrap();
    assert_eq!(found.expose_text(field::VALUE).unwrap(), "hunter2");
    assert!(
        folder.path("store/a.enc.json").exists(),
        "a relative path is relative to the folder of the file"
    );
}

#[test]
fn a_profile_names_the_creator_of_what_is_stored() {
    let folder = Folder::new();
    let write = |line: &str| {
        folder.write("cred.toml", format!("[profiles.p]\nbackend = \"memory\"\n{line}\n{RING}"));
        open(folder.config(), None)
    };
    assert_eq!(write("").unwrap().created_by, None);
    assert_eq!(write("created_by = \"payments\"").unwrap().created_by.unwrap().as_str(), "payments");
    // Set by cargo for each test.
    assert_eq!(
        write("created_by = { env = \"CARGO_PKG_NAME\" }").unwrap().created_by.unwrap().as_str(),
        "cred-config"
    );
    for wrong in [
        "created_by = \"\"",
        "created_by = { env = \"CRED_CONFIG_TEST_UNSET\" }",
        "created_by = \"hunter2\\n\"",
        "created_by = 7",
    ] {
        let error = write(wrong).unwrap_err().to_string();
        assert!(error.contains("cred.toml:3: `profiles.p.created_by`"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_profile_is_selected_by_the_caller_the_variable_the_line_or_being_the_only_one() {
    const CHILD: &str = "CRED_CONFIG_TEST_FILE";
    let hard = "[profiles.hard]\nbackend = \"memory\"\n";
    let soft = "[profiles.soft]\nbackend = \"memory\"\nsoft_delete = true\n";
    let folder = Folder::new();
    if let Some(config) = std::env::var_os(CHILD) {
        return assert!(open(config, None).unwrap().provider.soft_delete().is_some());
    }
    folder.write("cred.toml", format!("{soft}{RING}"));
    assert!(is_soft(&folder, None));
    folder.write("cred.toml", format!("profile = \"soft\"\n{hard}{soft}{RING}"));
    assert!(is_soft(&folder, None) && !is_soft(&folder, Some("hard")));
    folder.write("cred.toml", format!("profile = \"hard\"\n{hard}{soft}{RING}"));
    // A child process, since a variable of this process would affect the other tests.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["the_profile_is_selected", "--quiet"])
        .env("CRED_PROFILE", "soft")
        .env(CHILD, folder.config());
    assert!(child.output().unwrap().status.success());
    folder.write("cred.toml", format!("{hard}{soft}{RING}"));
    let error = open(folder.config(), None).unwrap_err();
    assert!(matches!(&error, Error::SeveralProfiles { names, .. } if names == &["hard", "soft"]));
    assert!(error.to_string().contains("cred.toml has several profiles: hard, soft; name one"), "{error}");
}

#[test]
fn an_invalid_file_is_rejected_with_file_line_and_field() {
    let local = "[profiles.p]\nbackend = \"local\"\n";
    let memory = "[profiles.p]\nbackend = \"memory\"\n";
    let passphrase = "[rings.main]\nactive = \"k\"\nkeys.k = { passphrase = { env = \"UNSET\" }, m_kib = ";
    for (text, expected) in [
        ("".to_owned(), "cred.toml has no profile; add a table"),
        ("profile = \"p\n".to_owned(), "cred.toml:1: this is not valid TOML"),
        (
            "profile = \"q\"\n[profiles.p]\n".to_owned(),
            "cred.toml:1: the profile that the line `profile` of the given file names does not exist",
        ),
        ("[keys]\n".to_owned(), "cred.toml:1: `keys` is not known here"),
        ("[profiles.\"a b\"]\n".to_owned(), "cred.toml:1: `profiles` has a name that is not 1 to 64"),
        ("[files]\nowner = 1\n".to_owned(), "cred.toml:2: `files.owner` is not a field of `files`"),
        ("[profiles.p]\n".to_owned(), "cred.toml:1: `profiles.p` needs the field `backend`"),
        (
            "[profiles.p]\nbackend = \"lokal\"\n".to_owned(),
            "cred.toml:2: `profiles.p.backend` is not a backend",
        ),
        (local.to_owned(), "cred.toml:1: `ring` of profile `p` names a key ring that does not exist; add it"),
        (
            format!("{local}ring = \"x\"\n"),
            "cred.toml:3: `ring` of profile `p` names a key ring that does not exist; add it",
        ),
        (
            format!("{local}base_bath = \"/x\"\n{RING}"),
            "cred.toml:3: `profiles.p.base_bath` is not a field of this",
        ),
        (format!("{local}base_path = 7316\n{RING}"), "cred.toml:3: `profiles.p.base_path` must be"),
        (format!("{local}{RING}"), "cred.toml:1: `base_path` of profile `p` is empty"),
        (
            format!("{local}base_path = \"x\"\ncreate_dir = false\n{RING}"),
            "cred.toml:3: `base_path` of profile `p` does not exist",
        ),
        (
            format!("{memory}[rings.main]\nactive = \"x9\"\n"),
            "cred.toml:4: `rings.main.active` names a key that this ring does not have",
        ),
        (
            format!("{memory}[rings.main]\nactive = \"k\"\nkeys.k = {{ env = \"UNSET\" }}\n"),
            "cred.toml:5: `keys.k` of ring `main` names a variable that is not set; set it",
        ),
        (
            format!("{memory}[rings.main]\nactive = \"k\"\nkeys.k = {{ passphrase = \"prompt\" }}\n"),
            "cred.toml:5: `keys.k` of ring `main` has a passphrase from a prompt, which only the program",
        ),
        (format!("{memory}{passphrase}7 }}\n"), "cred.toml:5: `rings.main.keys.k.m_kib` must be 32 to"),
        (
            format!("{memory}{passphrase}64 }}\n"),
            "cred.toml:5: `rings.main.keys.k` has Argon2id parameters that",
        ),
    ] {
        let folder = Folder::new();
        folder.write("cred.toml", &text);
        let error = open(folder.config(), None).unwrap_err().to_string();
        let shown = error.strip_prefix(&format!("{}/", folder.root().display())).unwrap_or(&error);
        assert!(shown.starts_with(expected), "{text}\n{shown}");
        assert!(!shown.contains("7316"), "{shown}");
    }
}

#[test]
fn a_file_that_is_unreadable_or_writable_by_other_users_is_rejected() {
    let folder = Folder::new();
    let error = open(folder.config(), None).unwrap_err();
    assert!(error.source().is_some() && error.to_string().contains("cannot be read; check"), "{error}");
    folder.write("cred.toml", RING);
    folder.set_mode("cred.toml", 0o666);
    let refused = |part: &str| {
        let error = open(folder.config(), None).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains(part), "{error}");
    };
    refused("chmod go-w");
    folder.set_mode("cred.toml", 0o644);
    folder.set_mode("", 0o777);
    refused("is in a folder that other users can write");
    folder.set_mode("", 0o700);
    folder.write("cred.toml", "#".repeat(1_024 * 1_024 + 1));
    refused("is longer than 1048576 bytes");
    fs::remove_file(folder.config()).unwrap();
    folder.write("other", format!("[profiles.p]\nbackend = \"memory\"\n{RING}"));
    symlink("other", folder.config()).unwrap();
    assert!(open(folder.config(), None).is_ok(), "a given file may be a link");
}

/// A `main` that returns `Box<dyn Error>` prints `Debug`.
#[test]
fn debug_is_the_message_and_its_causes() {
    let folder = Folder::new();
    let error = open(folder.config(), None).unwrap_err();
    let cause = error.source().unwrap();
    assert_eq!(format!("{error:?}"), format!("{error}\n\nCaused by:\n    {cause}"));
    folder.write("cred.toml", "[profiles.p]\n");
    let error = open(folder.config(), None).unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
}

/// A check waits for the key ring, which must not block a thread of the runtime.
#[tokio::test]
async fn a_passphrase_is_checked_inside_a_runtime_too() {
    let ring = |text: &str| {
        let passphrase = Passphrase::new(text.into()).unwrap().with_kdf_salt([7; 16]);
        KeyRing::builder("k".parse().unwrap()).key("k".parse().unwrap(), passphrase).build().unwrap()
    };
    let check = PassphraseCheck::of_active(&ring("correct horse battery")).unwrap().encode();
    let salt = "07".repeat(16);
    let folder = Folder::new();
    folder.write(
        "cred.toml",
        format!(
            "[profiles.p]\nbackend = \"memory\"\n[rings.main]\nactive = \"k\"\nkeys.k = {{ passphrase = \
             {{ file = \"words\" }}, kdf_salt = \"{salt}\", check = \"{check}\" }}\n"
        ),
    );
    folder.write("words", "correct horse battery\n");
    assert!(open(folder.config(), None).is_ok());
    folder.write("words", "correct horse batery\n");
    let error = open(folder.config(), None).unwrap_err();
    assert!(matches!(error, Error::WrongPassphrase { .. }), "{error}");
    assert!(error.to_string().contains("cred.toml:5: the passphrase is not the one"), "{error}");
    folder.write("words", "\n");
    let error = open(folder.config(), None).unwrap_err();
    assert!(error.source().unwrap().to_string().contains("passphrase is empty"), "{error}");
}

#[test]
fn the_file_makes_exceptions_to_the_rules_for_files() {
    let folder = Folder::new();
    let text = format!("[profiles.p]\nbackend = \"memory\"\n{RING}");
    folder.write("cred.toml", &text);
    folder.set_mode("k.key", 0o444);
    let error = open(folder.config(), None).unwrap_err().to_string();
    assert!(error.contains("`keys.k` of ring `main`") && error.contains("shared_secrets = true"), "{error}");
    folder.write("cred.toml", format!("{text}[files]\nshared_secrets = true\n"));
    assert!(open(folder.config(), None).is_ok());
}

#[cfg(not(feature = "vault"))]
#[test]
fn a_backend_whose_feature_is_off_is_named_with_its_feature() {
    let folder = Folder::new();
    folder.write("cred.toml", format!("[profiles.p]\nbackend = \"vault\"\n{RING}"));
    let error = open(folder.config(), None).unwrap_err();
    assert!(matches!(error, Error::NotBuilt { backend: "vault", .. }), "{error}");
    let expected = "cred.toml:2: `profiles.p.backend` names a backend that is not built in; enable the feature \
                    `vault` of `cred-rs` or `cred-config`, or use one of local";
    assert!(error.to_string().contains(expected), "{error}");
}
