//! The contents of a sealed credential, as a holder of the key could write them: metadata and
//! secret have one encoding each.
#![no_main]

use cred_core::{Credential, CredentialMetadata};
use cred_crypto::fuzzing::{decode, encode};
use cred_fuzz::{planted, silent, silent_text};
use cred_provider_kit::CredentialFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for bytes in [input, &planted(input)] {
        content(bytes);
        secret(bytes, &CredentialMetadata::default());
    }
});

fn content(bytes: &[u8]) {
    match decode(bytes) {
        Ok((metadata, at)) => {
            let (_, secret_bytes) = bytes.split_at(at);
            let again = encode(&metadata, secret_bytes).expect("what was decoded");
            assert_eq!(*again, bytes, "it has one encoding");
            secret(secret_bytes, &metadata);
            beside(metadata);
        }
        Err(what) => silent_text(what),
    }
}

/// The kind and the fields.
fn secret(bytes: &[u8], metadata: &CredentialMetadata) {
    match Credential::from_secret_bytes(bytes, metadata) {
        Ok(credential) => {
            assert_eq!(*credential.to_secret_bytes().expect("what was decoded"), bytes);
            assert_eq!(*credential.tags(), metadata.tags);
            let names: Vec<_> = credential.field_names().collect();
            assert!(names.iter().all(|name| credential.expose_bytes(name.as_str()).is_ok()));
            let printed = format!("{credential:?}");
            let named = names.iter().any(|name| name.as_str().contains(cred_fuzz::CANARY))
                || credential.kind().to_string().contains(cred_fuzz::CANARY)
                || metadata
                    .tags
                    .iter()
                    .any(|(key, value)| format!("{key}{value}").contains(cred_fuzz::CANARY));
            assert!(named || !printed.contains(cred_fuzz::CANARY), "a field is printed: {printed}");
        }
        Err(error) => silent(&error),
    }
}

/// All metadata that can be sealed can be written to an envelope and read back.
fn beside(metadata: CredentialMetadata) {
    let data = cred_fuzz::known()[0].data.clone();
    let bytes = CredentialFile::new(data, metadata.clone()).encode().expect("metadata of this version");
    let back = CredentialFile::decode(&bytes).expect("what was encoded").into_sealed().metadata;
    assert_eq!(back, metadata);
}
