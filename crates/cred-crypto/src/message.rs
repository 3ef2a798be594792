//! One sealed message, version 1: a key of its own under HKDF-SHA-512, a commitment to it,
//! AES-256-GCM.

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

/// Salt and nonce: what is drawn from the system's random source for each message.
pub(crate) const DRAW_LEN: usize = 44;

/// Which key a message is sealed under, and what a reader needs to have it again.
pub(crate) struct SealUnder<'a> {
    pub(crate) key_id: &'a KeyId,
    pub(crate) master: &'a Master,
    pub(crate) kdf_salt: Option<[u8; 16]>,
    pub(crate) wrapped_key: Option<WrappedKey>,
}

/// Seals with this draw of random bytes, which is used for no other message.
pub(crate) fn seal(
    under: SealUnder<'_>,
    draw: &[u8; DRAW_LEN],
    path: PathRef<'_>,
    metadata: &CredentialMetadata,
    secret: &[u8],
) -> Result<EncryptedData, SealError> {
    let unsealable = |what| SealError::Unsealable { path: path.to_path(), what };
    let (salt, nonce) = split_draw(draw);
    let (key, commitment) = message_key(under.master, &salt).map_err(|_| failed(path))?;
    let mut data = EncryptedData::new(under.key_id.clone(), salt, commitment, nonce, Vec::new(), [0; 16])
        .with_kdf_salt(under.kdf_salt)
        .with_wrapped_key(under.wrapped_key);

    let mut content = inner::encode(metadata, secret).map_err(unsealable)?;
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data(path, &data)),
            &mut content,
        )
        .map_err(|_| unsealable("it is larger than AES-256-GCM takes in one message; store less"))?;
    data.tag.copy_from_slice(tag.as_ref());
    data.ciphertext = std::mem::take(&mut *content);
    Ok(data)
}

/// The key of a sealed message, proven by the commitment to be the one that it was sealed under.
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

    /// Decrypts, and compares the sealed metadata with the copy that stood beside it.
    ///
    /// # Errors
    /// [`SealError::Tampered`].
    pub(crate) fn open(
        self,
        path: PathRef<'_>,
        data: &EncryptedData,
        outer: &CredentialMetadata,
    ) -> Result<Opened, SealError> {
        let tampered = |what| tampered(path, what);
        if data.version != SealVersion::V1 {
            return Err(tampered("it claims a format version that this reader does not know"));
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
            .map_err(|_| {
                tampered("its path, key id, salts or sealed bytes are not those that were sealed")
            })?;
        let (metadata, secret_at) = inner::decode(&content).map_err(tampered)?;
        if let Some(what) = first_difference(&metadata, outer) {
            return Err(tampered(what));
        }
        // In place: the buffer is wiped as a whole when it is dropped, what the metadata left
        // behind included.
        content.drain(..secret_at);
        Ok(Opened::new(metadata, content))
    }
}

pub(crate) fn tampered(path: PathRef<'_>, what: &'static str) -> SealError {
    SealError::Tampered { path: path.to_path(), what }
}

fn split_draw(draw: &[u8; DRAW_LEN]) -> ([u8; 32], [u8; 12]) {
    let (mut salt, mut nonce) = ([0; 32], [0; 12]);
    let (first, last) = draw.split_at(salt.len());
    salt.copy_from_slice(first);
    nonce.copy_from_slice(last);
    (salt, nonce)
}

/// The message's key and its commitment.
fn message_key(master: &Master, salt: &[u8; 32]) -> Result<(LessSafeKey, [u8; 32]), Unspecified> {
    let material = key_material(master, salt)?;
    let (key, committed) = material.split_at(32);
    let mut commitment = [0; 32];
    commitment.copy_from_slice(committed);
    Ok((LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?), commitment))
}

/// The 64 bytes of HKDF-SHA-512: key, then commitment.
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

/// All that is authenticated beside the content.
pub(crate) fn associated_data(path: PathRef<'_>, data: &EncryptedData) -> Vec<u8> {
    const LABEL: &[u8] = b"cred/aad/v1\0";
    /// Everything of fixed length, and the marks and length prefixes of the rest.
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

/// What an edit of the outer copy would show in. Unknown fields are not compared: a backend may not
/// keep them.
fn first_difference(sealed: &CredentialMetadata, outer: &CredentialMetadata) -> Option<&'static str> {
    [
        (sealed.created_at == outer.created_at, "its time of creation differs from the sealed one"),
        (sealed.last_modified == outer.last_modified, "its time of modification differs from the sealed one"),
        (sealed.version == outer.version, "its version differs from the sealed one"),
        (sealed.tags == outer.tags, "its tags differ from the sealed ones"),
        (sealed.expires_at == outer.expires_at, "its expiry differs from the sealed one"),
        (sealed.rotation == outer.rotation, "its rotation policy differs from the sealed one"),
        (sealed.created_by == outer.created_by, "its creator differs from the sealed one"),
    ]
    .into_iter()
    .find_map(|(equal, what)| (!equal).then_some(what))
}

/// `ring` refuses only lengths that are fixed here.
fn failed(path: PathRef<'_>) -> SealError {
    let what = "the message key could not be derived; this is a defect of cred-crypto";
    SealError::Failed { path: CredentialPath::from(path), what, transient: false, source: None }
}
