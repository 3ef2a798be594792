//! `cred.toml`: whatever stands in it is told by line and field, and no value is ever repeated.
//!
//! cred-cli is a program, so that its modules are compiled into this target.
#![no_main]
#![allow(dead_code, unused_imports, reason = "of the program's modules only those that read are used")]

#[path = "../../crates/cred-cli/src"]
mod program {
    pub(crate) mod backend;
    pub(crate) mod blocking;
    pub(crate) mod config;
    pub(crate) mod escape;
    pub(crate) mod failure;
    pub(crate) mod input;
    pub(crate) mod moment;
    pub(crate) mod record;
    pub(crate) mod terminal;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cred_fuzz::{CANARY, silent_text};
use libfuzzer_sys::fuzz_target;
use toml_edit::{DocumentMut, Item, TableLike, Value};

use crate::config::Config;
use crate::failure::Failure;
use crate::program::{backend, blocking, config, escape, failure, input, moment, record, terminal};

/// Names that a message may repeat: those of a profile, a ring, a key. Names of variables and files are values like any other, since
/// who mistook the one for the other wrote a secret there.
const NAMES: [&str; 3] = ["profile", "ring", "active"];

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let failures = read(text);
    if text.contains(CANARY) {
        return;
    }
    failures.iter().for_each(unrepeated);
    let Ok(document) = text.parse::<DocumentMut>() else { return };
    // Each value in turn is the secret of somebody who put it there.
    let (mut number, mut last) = (0, false);
    while !last && number < 16 {
        let mut planted = document.clone();
        let mut left = number;
        last = !plant(planted.as_table_mut(), &mut left);
        read(&planted.to_string()).iter().for_each(unrepeated);
        number += 1;
    }
});

/// Reads all that the file says; makes no connection, and asks nobody.
fn read(text: &str) -> Vec<Failure> {
    static PLACE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = cred_fuzz::folder();
        let path = folder.path().join("cred.toml");
        (folder, path)
    });
    fs::write(&PLACE.1, text).expect("room");
    let config = match Config::find(Some(Path::new(&PLACE.1)), None) {
        Ok(config) => config,
        Err(failure) => return vec![failure],
    };
    let mut failures = Vec::new();
    let _ = config.variables();
    for file in config.files() {
        // What is shown of a file before it is trusted draws nothing, whatever the file says.
        let effects = config::effects::of(file).concat();
        assert!(!effects.chars().any(escape::is_active), "{effects:?}");
    }
    failures.extend(config.chosen().err());
    for name in config.profiles() {
        match config.profile(&name, "its name") {
            Ok(profile) => {
                assert_eq!(profile.name, name);
                failures.extend(config.profiles_of_ring(&profile).err());
                failures.extend(profile.keys().err());
                failures.extend(profile.open().err());
                let _ = profile.fields();
            }
            Err(failure) => failures.push(failure),
        }
    }
    failures
}

fn unrepeated(failure: &Failure) {
    silent_text(&format!("{failure} {:?} {:?}", failure.hint_text(), failure.causes()));
    // A message without a place sends its reader through the whole file.
    assert!(!failure.to_string().is_empty());
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
