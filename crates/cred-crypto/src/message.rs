//! Sealed messages, version 1: a separate key for each message by HKDF-SHA-512, a key commitment,
//! and AES-256-GCM.

use cred_core::{
    CredentialMetadata, CredentialPath, EncryptedData, KeyId, Opened, PathRef, SealError, SealVersion,
    WrappedKey,
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA512, KeyType, Salt};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::inner;
use crate::master::Master;

/// The number of random bytes for each message: salt and nonce.
pub(crate) const RANDOM_LEN: usize = 44;

/// The key for sealing a message, and the parts of the envelope from which a reader gets that key.
pub(crate) struct SealWith<'a> {
    pub(crate) key_id: &'a KeyId,
    pub(crate) master: &'a Master,
    pub(crate) kdf_salt: Option<[u8; 16]>,
    pub(crate) wrapped_key: Option<WrappedKey>,
}

/// Seals a message. The random bytes must not be used for another message.
pub(crate) fn seal(
    sealing_key: SealWith<'_>,
    random: &[u8; RANDOM_LEN],
    path: PathRef<'_>,
    metadata: &CredentialMetadata,
    secret: &[u8],
) -> Result<EncryptedData, SealError> {
    let unsealable = |what| SealError::Unsealable { path: path.to_path(), what };
    let (salt, nonce) = split_random(random);
    let (key, commitment) = message_key(sealing_key.master, &salt).map_err(|_| failed(path))?;
    let mut data =
        EncryptedData::new(sealing_key.key_id.clone(), salt, commitment, nonce, Vec::new(), [0; 16])
            .with_kdf_salt(sealing_key.kdf_salt)
            .with_wrapped_key(sealing_key.wrapped_key);

    let mut content = inner::encode(metadata, secret).map_err(unsealable)?;
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data(path, &data)),
            &mut content,
        )
        .map_err(|_| {
            unsealable("it exceeds the maximum message size of AES-256-GCM; store a smaller value")
        })?;
    data.tag.copy_from_slice(tag.as_ref());
    data.ciphertext = std::mem::take(&mut *content);
    Ok(data)
}

/// The key of a sealed message. The commitment has proven that the message was sealed under it.
pub(crate) struct ProvenKey(LessSafeKey);

impl ProvenKey {
    /// # Errors
    /// [`SealError::WrongKey`] if the commitment is not this master's.
    pub(crate) fn prove(master: &Master, path: PathRef<'_>, data: &EncryptedData) -> Result<Self, SealError> {
        let (key, commitment) = message_key(master, &data.salt).map_err(|_| failed(path))?;
        match bool::from(commitment.ct_eq(&data.commitment)) {
            true => Ok(Self(key)),
            false => Err(SealError::WrongKey { path: path.to_path(), key_id: data.key_id.clone() }),
        }
    }

    /// Decrypts the message and compares the sealed metadata with the unencrypted copy.
    ///
    /// # Errors
    /// [`SealError::Tampered`].
    pub(crate) fn open(
        self,
        path: PathRef<'_>,
        data: &EncryptedData,
        unencrypted: &CredentialMetadata,
    ) -> Result<Opened, SealError> {
        let tampered = |what| tampered(path, what);
        if data.version != SealVersion::V1 {
            return Err(tampered("its format version is unknown"));
        }
        let mut content = Zeroizing::new(data.ciphertext.clone());
        self.0
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(data.nonce),
                Aad::from(associated_data(path, data)),
                data.tag.into(),
                &mut content,
                0..,
            )
            .map_err(|_| tampered("its path, key id, salts or ciphertext differ from the sealed ones"))?;
        let (metadata, secret_at) = inner::decode(&content).map_err(tampered)?;
        if let Some(what) = first_difference(&metadata, unencrypted) {
            return Err(tampered(what));
        }
        // In place: the whole buffer is wiped when it is dropped, including remains of the
        // metadata.
        content.drain(..secret_at);
        Ok(Opened::new(metadata, content))
    }
}

pub(crate) fn tampered(path: PathRef<'_>, what: &'static str) -> SealError {
    SealError::Tampered { path: path.to_path(), what }
}

fn split_random(random: &[u8; RANDOM_LEN]) -> ([u8; 32], [u8; 12]) {
    let (mut salt, mut nonce) = ([0; 32], [0; 12]);
    let (first, last) = random.split_at(salt.len());
    salt.copy_from_slice(first);
    nonce.copy_from_slice(last);
    (salt, nonce)
}

/// Derives the message's key and its commitment.
fn message_key(master: &Master, salt: &[u8; 32]) -> Result<(LessSafeKey, [u8; 32]), Unspecified> {
    let material = key_material(master, salt)?;
    let (key, committed) = material.split_at(32);
    let mut commitment = [0; 32];
    commitment.copy_from_slice(committed);
    Ok((LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?), commitment))
}

/// Derives 64 bytes by HKDF-SHA-512: the key, then the commitment.
pub(crate) fn key_material(master: &Master, salt: &[u8; 32]) -> Result<Zeroizing<[u8; 64]>, Unspecified> {
    struct Bytes64;
    impl KeyType for Bytes64 {
        fn len(&self) -> usize {
            64
        }
    }
    let mut material = Zeroizing::new([0; 64]);
    let extracted = Salt::new(HKDF_SHA512, salt).extract(master.as_bytes());
    extracted.expand(&[b"cred/seal/v1"], Bytes64)?.fill(&mut *material)?;
    Ok(material)
}

/// Encodes all data that is authenticated in addition to the content.
pub(crate) fn associated_data(path: PathRef<'_>, data: &EncryptedData) -> Vec<u8> {
    const LABEL: &[u8] = b"cred/aad/v1\0";
    /// Length of all parts of fixed length, and of the presence bytes and length prefixes of the
    /// other parts.
    const FIXED_LEN: usize = LABEL.len() + 1 + 2 + 1 + 16 + 1 + 2 + 32 + 12 + 1 + 2 + 2;

    let scope = path.scope.map(|scope| scope.as_str().as_bytes());
    let wrapped_key = data.wrapped_key.as_ref().map(WrappedKey::as_bytes);
    let key_id = data.key_id.as_str().as_bytes();
    let id = path.id.as_str().as_bytes();
    let variable =
        key_id.len() + wrapped_key.map_or(0, <[u8]>::len) + scope.map_or(0, <[u8]>::len) + id.len();

    let mut bytes = Vec::with_capacity(FIXED_LEN + variable);
    let put = &mut |part: &[u8]| bytes.extend_from_slice(part);
    put(LABEL);
    put(&[data.version.as_u8()]);
    inner::put_prefixed(key_id, put);
    put_optional(data.kdf_salt.as_ref(), put, |salt, put| put(salt));
    put_optional(wrapped_key, put, inner::put_prefixed);
    put(&data.salt);
    put(&data.nonce);
    put_optional(scope, put, inner::put_prefixed);
    inner::put_prefixed(id, put);
    bytes
}

fn put_optional<T, P: FnMut(&[u8])>(value: Option<T>, put: &mut P, put_value: impl FnOnce(T, &mut P)) {
    match value {
        None => put(&[0]),
        Some(value) => {
            put(&[1]);
            put_value(value, put);
        }
    }
}

/// Describes the first difference between the sealed and the unencrypted metadata. Unknown fields
/// are not compared, because a backend may drop them.
fn first_difference(sealed: &CredentialMetadata, unencrypted: &CredentialMetadata) -> Option<&'static str> {
    [
        (sealed.created_at == unencrypted.created_at, "its time of creation differs from the sealed one"),
        (
            sealed.last_modified == unencrypted.last_modified,
            "its time of modification differs from the sealed one",
        ),
        (sealed.version == unencrypted.version, "its version differs from the sealed one"),
        (sealed.tags == unencrypted.tags, "its tags differ from the sealed ones"),
        (sealed.expires_at == unencrypted.expires_at, "its expiry differs from the sealed one"),
        (sealed.rotation == unencrypted.rotation, "its rotation policy differs from the sealed one"),
        (sealed.created_by == unencrypted.created_by, "its creator differs from the sealed one"),
    ]
    .into_iter()
    .find_map(|(equal, what)| (!equal).then_some(what))
}

/// The error of key derivation. `ring` fails only for invalid lengths, and all lengths are
/// constant.
fn failed(path: PathRef<'_>) -> SealError {
    let what = "the message key could not be derived; this is a defect of cred-crypto";
    SealError::Failed { path: CredentialPath::from(path), what, transient: false, source: None }
}
