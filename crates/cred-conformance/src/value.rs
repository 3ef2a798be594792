//! The values that the clauses store, which differ in every field.

use cred_core::{
    CreatedBy, CredentialContext, CredentialId, CredentialMetadata, CredentialPath, EncryptedData, KeyId,
    RotationPolicy, ScopeId, Sealed, Tags, Timestamp, WrappedKey,
};

/// The creation time of value 0.
pub(crate) const EPOCH_MS: u64 = 1_700_000_000_000;

/// The `number`-th value. Values with different numbers differ in every field.
pub(crate) fn value(number: u64) -> Sealed {
    sized(number, 40 + remainder(number, 7))
}

/// Like [`value`], with a ciphertext of `len` bytes.
pub(crate) fn sized(number: u64, len: usize) -> Sealed {
    let data = EncryptedData::new(
        key_id(&format!("key-{number}")),
        bytes(number, 1),
        bytes(number, 2),
        bytes(number, 3),
        stream(number, 4).take(len).collect(),
        bytes(number, 5),
    )
    .with_kdf_salt((number % 2 == 1).then(|| bytes(number, 6)))
    .with_wrapped_key((number % 3 == 1).then(|| wrapped(stream(number, 7).take(33).collect())));
    let mut metadata = CredentialMetadata::new(Timestamp::from_unix_millis(EPOCH_MS + number))
        .with_tags(tags(&[("number", &number.to_string())]))
        .with_expires_at((number % 2 == 0).then(|| Timestamp::from_unix_millis(2 * EPOCH_MS + number)))
        .with_rotation((number % 3 == 0).then_some(RotationPolicy::Periodic { interval_ms: number + 1 }));
    metadata.created_by = (number % 4 != 3).then(|| created_by(&format!("service-{number}")));
    metadata.last_modified = Timestamp::from_unix_millis(EPOCH_MS + 7 * number);
    metadata.version = number + 1;
    Sealed { data, metadata }
}

/// Like [`value`], with exactly these tags.
pub(crate) fn tagged(number: u64, wanted: &[(&str, &str)]) -> Sealed {
    let Sealed { data, metadata } = value(number);
    Sealed::new(data, metadata.with_tags(tags(wanted)))
}

/// Like [`value`], with this creation time.
pub(crate) fn created_at(number: u64, millis: u64) -> Sealed {
    let Sealed { data, mut metadata } = value(number);
    metadata.created_at = Timestamp::from_unix_millis(millis);
    Sealed { data, metadata }
}

/// The names of the fields that differ. Their bytes would not help the reader.
pub(crate) fn difference(expected: &Sealed, actual: &Sealed) -> String {
    let Sealed { data, metadata } = expected;
    let Sealed { data: data2, metadata: metadata2 } = actual;
    let fields = [
        ("version", data.version == data2.version),
        ("key_id", data.key_id == data2.key_id),
        ("salt", data.salt == data2.salt),
        ("commitment", data.commitment == data2.commitment),
        ("nonce", data.nonce == data2.nonce),
        ("ciphertext", data.ciphertext == data2.ciphertext),
        ("tag", data.tag == data2.tag),
        ("kdf_salt", data.kdf_salt == data2.kdf_salt),
        ("wrapped_key", data.wrapped_key == data2.wrapped_key),
        ("metadata.created_at", metadata.created_at == metadata2.created_at),
        ("metadata.last_modified", metadata.last_modified == metadata2.last_modified),
        ("metadata.version", metadata.version == metadata2.version),
        ("metadata.tags", metadata.tags == metadata2.tags),
        ("metadata.expires_at", metadata.expires_at == metadata2.expires_at),
        ("metadata.rotation", metadata.rotation == metadata2.rotation),
        ("metadata.created_by", metadata.created_by == metadata2.created_by),
        ("metadata.unknown", metadata.unknown == metadata2.unknown),
    ];
    let names: Vec<_> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    names.join(", ")
}

pub(crate) fn path(text: &str) -> CredentialPath {
    parsed(text.parse(), text)
}

pub(crate) fn scope(text: &str) -> ScopeId {
    parsed(text.parse(), text)
}

pub(crate) fn id(text: &str) -> CredentialId {
    parsed(text.parse(), text)
}

pub(crate) fn key_id(text: &str) -> KeyId {
    parsed(text.parse(), text)
}

pub(crate) fn created_by(text: &str) -> CreatedBy {
    parsed(text.parse(), text)
}

pub(crate) fn tags(wanted: &[(&str, &str)]) -> Tags {
    let mut tags = Tags::new();
    for (key, value) in wanted {
        parsed(tags.insert(*key, *value), key);
    }
    tags
}

pub(crate) fn wrapped(bytes: Vec<u8>) -> WrappedKey {
    parsed(WrappedKey::new(bytes), "a wrapped key")
}

/// The context of a path.
pub(crate) fn context(path: &CredentialPath) -> CredentialContext {
    CredentialContext::from(path.scope.clone())
}

#[expect(clippy::panic, reason = "the suite's own literals; a mistake in them must fail the test")]
fn parsed<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the conformance suite uses the invalid literal `{what}`: {error}"),
    }
}

fn bytes<const LEN: usize>(number: u64, field: u64) -> [u8; LEN] {
    let mut stream = stream(number, field);
    std::array::from_fn(|_| stream.next().unwrap_or_default())
}

/// SplitMix64 (Steele, Lea, Flood 2014): different bytes for every number and field.
fn stream(number: u64, field: u64) -> impl Iterator<Item = u8> {
    let mut state = number.wrapping_mul(0x1000).wrapping_add(field);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    })
    .flatten()
}

fn remainder(number: u64, modulus: u64) -> usize {
    usize::try_from(number % modulus).unwrap_or_default()
}
