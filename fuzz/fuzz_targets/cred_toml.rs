//! `cred.toml`: an error names the line and the field, and never repeats a value. The
//! effects of a file are shown without control characters.
//!
//! cred-cli is a program, so that its modules are compiled into this target.
#![no_main]
#![allow(dead_code, reason = "only the modules that show a file are used")]

#[path = "../../crates/cred-cli/src"]
mod program {
    pub(crate) mod escape;
    pub(crate) mod config {
        pub(crate) mod effects;
    }
}

use std::error::Error as _;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use cred_config::Error;
use cred_config::model::{Config, ConfigFile, Origin};
use cred_fuzz::{CANARY, silent_text};
use libfuzzer_sys::fuzz_target;
use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::program::config::effects;
use crate::program::escape;

/// Names that a message may repeat: those of a profile, a ring, a key. Names of variables and files
/// are values like any other: a secret may have been written in their place.
const NAMES: [&str; 3] = ["profile", "ring", "active"];

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let errors = read(text);
    if text.contains(CANARY) {
        return;
    }
    errors.iter().for_each(unrepeated);
    let Ok(document) = text.parse::<DocumentMut>() else { return };
    // Each value in turn is a secret that a user wrote there.
    let (mut number, mut last) = (0, false);
    while !last && number < 16 {
        let mut planted = document.clone();
        let mut left = number;
        last = !plant(planted.as_table_mut(), &mut left);
        read(&planted.to_string()).iter().for_each(unrepeated);
        number += 1;
    }
});

/// Reads the whole file; makes no connection, and does not prompt.
fn read(text: &str) -> Vec<Error> {
    static PLACE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = cred_fuzz::folder();
        let path = folder.path().join("cred.toml");
        (folder, path)
    });
    fs::write(&PLACE.1, text).expect("room");
    let file = match ConfigFile::read(PLACE.1.clone(), Origin::Given, None) {
        Ok(file) => file,
        Err(error) => return vec![error],
    };
    // The text that is shown before a file is trusted has no control characters, whatever the file
    // contains.
    let effects = effects::of(&file).concat();
    assert!(!effects.chars().any(escape::is_active), "{effects:?}");
    let config = Config::new(vec![file]);
    let mut errors = Vec::new();
    let _ = config.variables();
    errors.extend(config.chosen().err());
    for name in config.profiles() {
        match config.profile(&name, "its name") {
            Ok(profile) => {
                assert_eq!(profile.name(), name);
                errors.extend(config.profiles_of_ring(&profile).err());
                errors.extend(profile.keys().err());
                errors.extend(profile.open().err());
                let _ = profile.fields();
            }
            Err(error) => errors.push(error),
        }
    }
    errors
}

fn unrepeated(error: &Error) {
    silent_text(&format!("{error} {error:?} {:?}", error.source()));
    // A message without a line would make its reader search the whole file.
    assert!(error.to_string().contains("cred.toml"), "{error}");
}

/// Puts the canary in the place of the value of this number; false where there are fewer.
fn plant(table: &mut dyn TableLike, left: &mut usize) -> bool {
    table.iter_mut().any(|(key, item)| !NAMES.contains(&key.get()) && plant_item(item, left))
}

fn plant_item(item: &mut Item, left: &mut usize) -> bool {
    match item {
        Item::None => false,
        Item::Value(value) => plant_value(value, left),
        Item::Table(table) => plant(table, left),
        Item::ArrayOfTables(tables) => tables.iter_mut().any(|table| plant(table, left)),
    }
}

fn plant_value(value: &mut Value, left: &mut usize) -> bool {
    match value {
        Value::InlineTable(table) => plant(table, left),
        Value::Array(array) => array.iter_mut().any(|value| plant_value(value, left)),
        _ if *left == 0 => {
            *value = CANARY.into();
            true
        }
        _ => {
            *left -= 1;
            false
        }
    }
}
