//! Puts a secret in the place of every value, and checks everything that can be printed.

use cred_config::model::{Config, ConfigFile, Origin, PassphraseCheck};
use cred_config::{Error, SecretSource, open};
use cred_core::Zeroizing;
use cred_crypto::KeyRing;
use cred_testing::printed::Printed;
use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::folder::{Folder, KEY};

const CANARY: &str = "canary-5f1c9a73";

/// A file with every form of value, valid enough to be read.
const TEXT: &str = r#"
    profile = "p"

    [profiles.p]
    backend = "local"
    ring = "main"
    base_path = "store"
    create_dir = true
    file_extension = "cred.json"
    operation_timeout = { env = "CRED_CONFIG_UNSET" }
    max_payload_len = 8192

    [profiles.soft]
    backend = "memory"
    limits = { max_payload_len = 8192 }

    [rings.main]
    active = "k"
    keys.k = { file = "k.key" }
    keys.l = { env = "CRED_CONFIG_UNSET" }

    [rings.other]
    active = "m"
    keys.m = { passphrase = { file = "words" }, kdf_salt = "00112233445566778899aabbccddeeff", check = "x", t = 3 }
    keys.n = { passphrase = "prompt", m_kib = 65536 }

    [files]
    owners = [1001]
    shared_secrets = false
"#;

/// Replaces the value with this number by a text. False if there are fewer values.
fn plant(table: &mut dyn TableLike, left: &mut usize, text: &str) -> bool {
    table.iter_mut().any(|(_, item)| match item {
        Item::Value(value) => plant_value(value, left, text),
        Item::Table(table) => plant(table, left, text),
        Item::None | Item::ArrayOfTables(_) => false,
    })
}

fn plant_value(value: &mut Value, left: &mut usize, text: &str) -> bool {
    match value {
        Value::InlineTable(table) => plant(table, left, text),
        Value::Array(array) => array.iter_mut().any(|value| plant_value(value, left, text)),
        _ if *left == 0 => {
            *value = text.into();
            true
        }
        _ => {
            *left -= 1;
            false
        }
    }
}

/// Reads the whole file, and prints all of it and every error.
fn print(folder: &Folder, printed: &mut Printed) {
    let mut error = |error: Error| match error {
        // The names of a profile and of a ring that do not exist are in `Debug`.
        Error::UnknownProfile { .. } | Error::NoRing { .. } => printed.text(error.to_string()),
        error => printed.error(&error),
    };
    let file = match ConfigFile::read(folder.config(), Origin::Given, None) {
        Ok(file) => file,
        Err(found) => return error(found),
    };
    let config = Config::new(vec![file]);
    let _ = config.chosen().map_err(&mut error);
    let _ = open(folder.config(), None).map_err(&mut error);
    let ask = |_: &_| Ok::<_, Error>(Zeroizing::new(CANARY.to_owned()));
    let (mut rings, mut profiles) = (Vec::new(), Vec::new());
    for name in config.profiles() {
        match config.profile(&name, "its name") {
            Ok(profile) => profiles.push(profile),
            Err(found) => error(found),
        }
    }
    for profile in &profiles {
        let _ = profile.open().map_err(&mut error);
        match profile.keys() {
            Ok(ring) => rings.push(ring),
            Err(found) => error(found),
        }
    }
    for ring in &rings {
        let _ = ring.load(ask).map_err(&mut error);
        for key in ring.keys() {
            let _ = key.load(ask).map_err(&mut error);
        }
    }
    rings.iter().for_each(|ring| printed.value(ring));
    for profile in profiles.iter().filter(|profile| !profile.ring().contains(CANARY)) {
        printed.value(profile);
        printed.value(&profile.backend());
    }
    for (_, node) in config.files()[0].root().entries() {
        printed.value(&node);
    }
    printed.value(&config);
}

#[test]
fn a_secret_in_the_place_of_any_value_is_not_repeated() {
    let folder = Folder::new();
    let document: DocumentMut = TEXT.parse().unwrap();
    let (mut printed, mut planted) = (Printed::default(), 0);
    // Also with characters that no name, id or variable may contain.
    for text in [CANARY.to_owned(), format!("{CANARY} !")] {
        for (ring, with_check) in [("main", false), ("other", false), ("other", true)] {
            let mut document = document.clone();
            document["profiles"]["p"]["ring"] = toml_edit::value(ring);
            if !with_check {
                document["rings"]["other"]["keys"]["m"].as_inline_table_mut().unwrap().remove("check");
            }
            for mut number in 0.. {
                let mut document = document.clone();
                if !plant(document.as_table_mut(), &mut number, &text) {
                    break;
                }
                planted += 1;
                folder.write("cred.toml", document.to_string());
                print(&folder, &mut printed);
            }
        }
    }
    // Also a text that is not TOML.
    folder.write("cred.toml", format!("[profiles.p]\nbackend = {CANARY}\n"));
    print(&folder, &mut printed);
    assert!(planted > 70 && printed.count() > planted, "{planted} {}", printed.count());
    printed.holds_none_of(&[CANARY]);
}

#[test]
fn a_secret_that_was_read_is_not_printed() {
    let folder = Folder::new();
    folder.write("words", CANARY);
    folder.write(
        "cred.toml",
        "[profiles.p]\nbackend = \"memory\"\n[rings.main]\nactive = \"k\"\nkeys.k = { file = \"k.key\" }\n",
    );
    let mut printed = Printed::default();
    printed.value(&open(folder.config(), None).unwrap());
    printed.value(&SecretSource::File(folder.path("words")).read(folder.root()).unwrap());
    for source in [SecretSource::Env(CANARY.to_owned()), SecretSource::File(folder.path(CANARY))] {
        printed.value(&source);
        printed.error(&source.read(folder.root()).unwrap_err());
    }
    let ring = KeyRing::generate("k".parse().unwrap()).unwrap();
    printed.value(&PassphraseCheck::of_active(&ring).unwrap());
    // Key files that contain no key, or more than a key.
    for text in [CANARY.to_owned(), format!("{KEY} {CANARY}"), format!("{KEY}\n\n")] {
        folder.write("k.key", text);
        printed.error(&open(folder.config(), None).unwrap_err());
    }
    printed.holds_none_of(&[CANARY, KEY, &KEY[..40]]);
}
