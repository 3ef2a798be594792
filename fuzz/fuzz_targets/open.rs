//! Opening: only a sealed credential opens, only at the path and with the metadata that it was
//! sealed with.
//!
//! The input is an envelope with its path, or a list of edits of a credential that opens.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use cred_core::{
    CredentialMetadata, CredentialPath, EncryptedData, KeyId, SealError, Sealed, Sealer as _, Timestamp,
};
use cred_fuzz::{Known, known, ring, silent};
use cred_provider_kit::CredentialFile;
use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match CredentialFile::decode(input) {
        Ok(file) => {
            let path = file.path.clone().unwrap_or_else(|| known()[0].path.clone());
            let Sealed { data, metadata } = file.into_sealed();
            open(&path, &data, &metadata);
        }
        Err(_) => drop(edited(input)),
    }
});

#[derive(Debug, Arbitrary)]
enum Edit {
    Salt(u8, u8),
    Commitment(u8, u8),
    Nonce(u8, u8),
    Tag(u8, u8),
    Ciphertext(u16, u8),
    Cut(u16),
    Longer(u8),
    KdfSalt(Option<[u8; 16]>),
    Key(u8),
    Created(u64),
    Modified(u64),
    Version(u64),
    Expires(Option<u64>),
    Creator(Option<u8>),
    Tagged(u8, u8),
    Untagged,
    Unknown(u16, u8),
    Place(u8),
    Parts(u8),
}

fn edited(input: &[u8]) -> arbitrary::Result<()> {
    let mut bytes = Unstructured::new(input);
    let known = bytes.choose(known())?;
    let (mut path, mut data, mut metadata) = (known.path.clone(), known.data.clone(), known.metadata.clone());
    while !bytes.is_empty() {
        let edit = Edit::arbitrary(&mut bytes)?;
        apply(&edit, &mut path, &mut data, &mut metadata);
    }
    open(&path, &data, &metadata);
    Ok(())
}

fn apply(
    edit: &Edit,
    path: &mut CredentialPath,
    data: &mut EncryptedData,
    metadata: &mut CredentialMetadata,
) {
    let other = |number: u8| &known()[usize::from(number) % known().len()];
    let flip = |bytes: &mut [u8], at: usize, bits: u8| {
        let len = bytes.len().max(1);
        bytes.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= bits);
    };
    match *edit {
        Edit::Salt(at, bits) => flip(&mut data.salt, at.into(), bits),
        Edit::Commitment(at, bits) => flip(&mut data.commitment, at.into(), bits),
        Edit::Nonce(at, bits) => flip(&mut data.nonce, at.into(), bits),
        Edit::Tag(at, bits) => flip(&mut data.tag, at.into(), bits),
        Edit::Ciphertext(at, bits) => flip(&mut data.ciphertext, at.into(), bits),
        Edit::Cut(len) => data.ciphertext.truncate(len.into()),
        Edit::Longer(byte) => data.ciphertext.push(byte),
        Edit::KdfSalt(salt) => data.kdf_salt = salt,
        Edit::Key(number) => data.key_id = other(number).data.key_id.clone(),
        Edit::Created(moment) => metadata.created_at = Timestamp::from_unix_millis(moment),
        Edit::Modified(moment) => metadata.last_modified = Timestamp::from_unix_millis(moment),
        Edit::Version(version) => metadata.version = version,
        Edit::Expires(moment) => metadata.expires_at = moment.map(Timestamp::from_unix_millis),
        Edit::Creator(name) => metadata.created_by = name.and_then(|name| name.to_string().parse().ok()),
        Edit::Tagged(key, value) => {
            // A tag above the maximum is refused, so nothing is edited.
            let _ = metadata.tags.insert(format!("k{}", key % 4), value.to_string());
        }
        Edit::Untagged => metadata.tags = Default::default(),
        Edit::Unknown(number, byte) => {
            let _ = metadata.unknown.insert(number, vec![byte]);
        }
        Edit::Place(number) => *path = other(number).path.clone(),
        Edit::Parts(number) => {
            let Known { data: whole, .. } = other(number);
            (data.salt, data.commitment, data.nonce) = (whole.salt, whole.commitment, whole.nonce);
        }
    }
}

/// Opens only what is known; fields of newer writers, which a backend may not keep, are not
/// compared.
fn open(path: &CredentialPath, data: &EncryptedData, metadata: &CredentialMetadata) {
    let bare = |metadata: &CredentialMetadata| {
        let mut bare = metadata.clone();
        bare.unknown = Default::default();
        bare
    };
    let sealed = known()
        .iter()
        .find(|known| known.path == *path && known.data == *data && bare(&known.metadata) == bare(metadata));
    match (ring().open(path.as_path_ref(), data, metadata).now_or_never().expect("no waiting"), sealed) {
        (Ok(opened), Some(known)) => assert_eq!(*opened.secret, known.secret, "{}", known.name),
        (Ok(_), None) => panic!("it opens, but was never sealed"),
        (Err(error), Some(known)) => panic!("{} does not open: {error}", known.name),
        (Err(error), None) => {
            let has = |id: &KeyId| ring().key_ids().any(|key| key == id);
            match &error {
                SealError::UnknownKey { key_id, .. } => assert!(!has(key_id)),
                SealError::WrongKey { key_id, .. } => assert!(has(key_id)),
                SealError::Tampered { .. } => assert!(has(&data.key_id)),
                other => panic!("{other:?}"),
            }
            if !path.to_string().contains(cred_fuzz::CANARY)
                && !data.key_id.as_str().contains(cred_fuzz::CANARY)
            {
                silent(&error);
            }
        }
    }
}
