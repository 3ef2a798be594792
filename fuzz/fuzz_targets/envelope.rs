//! The envelope: only canonical bytes are accepted, and refused bytes are not repeated.
#![no_main]

use cred_core::{Sealed, StorageErrorKind};
use cred_fuzz::{planted, silent};
use cred_provider_kit::CredentialFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    read(input);
    read(&planted(input));
});

fn read(bytes: &[u8]) {
    match CredentialFile::decode(bytes) {
        Ok(file) => {
            assert_eq!(file.encode().expect("what was decoded"), bytes, "a credential has one encoding");
            let (path, mark) = (file.path.clone(), file.mark);
            let Sealed { data, metadata } = file.clone().into_sealed();
            assert_eq!(CredentialFile::new(data, metadata).with_path(path).with_mark(mark), file);
            assert!(!file.needs_migration());
        }
        Err(error) => {
            assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error:?}");
            silent(&error);
        }
    }
}
