//! The files of `cred import`, .env and JSON: a file that was read is written and read again, and a
//! refused one is not repeated.
//!
//! cred-cli is a program, so that its modules are compiled into this target.
#![no_main]
#![allow(dead_code, unused_imports, reason = "only the modules that read are used")]

#[path = "../../crates/cred-cli/src"]
mod program {
    pub(crate) mod blocking;
    pub(crate) mod docker;
    pub(crate) mod dotenv;
    pub(crate) mod failure;
    pub(crate) mod input;
    pub(crate) mod moment;
    pub(crate) mod record;
    pub(crate) mod terminal;
    pub(crate) mod variable;
}

use cred_core::{RotationPolicy, Timestamp, Zeroizing};
use cred_fuzz::{planted, silent_text};
use libfuzzer_sys::fuzz_target;

use crate::dotenv::Assignment;
use crate::failure::Failure;
use crate::program::{blocking, docker, dotenv, failure, input, moment, record, terminal, variable};
use crate::record::CredentialDocument;

fuzz_target!(|input: &[u8]| {
    for bytes in [input, &planted(input)] {
        variables(bytes);
        records(bytes);
    }
    if let Some((number, _)) = input.split_first_chunk() {
        policies(u64::from_be_bytes(*number));
    }
});

/// Every stored time is shown, and read again if the calendar can express it.
fn policies(number: u64) {
    /// The last moment of the year 9999.
    const LAST: u64 = 253_402_300_799_999;
    let at = Timestamp::from_unix_millis(number);
    assert!(moment::formatted(at).parse::<Timestamp>().is_ok());
    for policy in [
        RotationPolicy::Periodic { interval_ms: number },
        RotationPolicy::BeforeExpiry { lead_ms: number },
        RotationPolicy::At { at },
        RotationPolicy::Manual,
    ] {
        let shown = policy.to_string();
        let again = shown.parse();
        if number <= LAST {
            assert_eq!(again, Ok(policy), "{shown}");
        }
    }
}

fn variables(bytes: &[u8]) {
    same_again(bytes, dotenv::read, dotenv::write, dotenv::len);
    same_again(bytes, docker::read, docker::write, docker::len);
}

/// Adds a line with this name and this value, or returns why it cannot.
type Writer = fn(&str, &str, &mut Zeroizing<Vec<u8>>) -> Result<(), &'static str>;

/// The variables that were read are written, unless the line is too long, and read again.
fn same_again(
    bytes: &[u8],
    read: fn(&[u8]) -> Result<Vec<Assignment>, Failure>,
    write: Writer,
    len: fn(&str, &str) -> usize,
) {
    let assignments = match read(bytes) {
        Ok(assignments) => assignments,
        Err(failure) => return unrepeated(&failure),
    };
    let mut text = Zeroizing::new(Vec::new());
    for Assignment { name, value, .. } in &assignments {
        let before = text.len();
        match write(name, value, &mut text) {
            Ok(()) => assert!(text.len() - before <= len(name, value), "the buffer would have grown"),
            Err(_) => return assert!(len(name, value) >= 64 * 1_024),
        }
    }
    let again = read(&text).expect("what was written");
    assert!(
        again
            .iter()
            .map(|one| (&one.name, &one.value))
            .eq(assignments.iter().map(|one| (&one.name, &one.value)))
    );
}

fn records(bytes: &[u8]) {
    if let Err(failure) = record::fields(bytes) {
        unrepeated(&failure);
    }
    if let Err(failure) = record::flat(bytes) {
        unrepeated(&failure);
    }
    let records = match record::read(bytes) {
        Ok(records) => records,
        Err(failure) => return unrepeated(&failure),
    };
    let shown: Result<Vec<_>, _> =
        records.iter().map(|(path, credential)| CredentialDocument::of(path, credential)).collect();
    let json = serde_json::to_vec(&shown.expect("what was read")).expect("JSON");
    let again = record::read(&json).expect("what was printed");
    assert_eq!(again.len(), records.len());
    for ((path, credential), (path_again, credential_again)) in records.iter().zip(&again) {
        assert!(path == path_again && credential.kind() == credential_again.kind());
        assert!(credential.tags() == credential_again.tags());
        let fields: Vec<_> = credential.field_names().collect();
        assert!(credential_again.field_names().eq(fields.iter().copied()));
        for field in fields {
            let value = |credential: &cred_core::Credential| {
                credential.expose_bytes(field.as_str()).expect("a field").to_vec()
            };
            assert!(value(credential) == value(credential_again), "{field:?} comes back as something else");
        }
    }
}

fn unrepeated(failure: &Failure) {
    silent_text(&format!("{failure} {:?} {:?}", failure.hint_text(), failure.causes()));
}
