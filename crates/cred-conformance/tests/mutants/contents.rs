//! Flaws of stored data and of filters.

use cred_core::{
    CredentialFilter, CredentialMetadata, EncryptedData, KeyId, Sealed, StorageError, StorageErrorKind, Tags,
    Timestamp,
};

use crate::bench::{TAGS, other};
use crate::flaw::Flaw;

/// Returns the value that a flawed provider stores instead of the given one, or its refusal.
pub(crate) fn apply_flaw(
    flaw: Option<Flaw>,
    Sealed { mut data, mut metadata }: Sealed,
) -> Result<Sealed, StorageError> {
    match flaw {
        Some(Flaw::DropsUnknownFields) => metadata.unknown = Default::default(),
        Some(Flaw::DropsZeroSalts) => data.kdf_salt = data.kdf_salt.filter(|salt| *salt != [0; 16]),
        Some(Flaw::DropsWrappedKeys) => data.wrapped_key = None,
        Some(Flaw::DropsExpiry) => metadata.expires_at = None,
        Some(Flaw::DropsRotation) => metadata.rotation = None,
        Some(Flaw::DropsCreators) => metadata.created_by = None,
        Some(Flaw::TrimsCreators) => {
            metadata.created_by = metadata.created_by.and_then(|name| name.as_str().trim().parse().ok());
        }
        Some(Flaw::RoundsNumbersAsFloats) => metadata.version = rounded(metadata.version),
        Some(Flaw::KeepsSecondsOnly) => {
            let seconds = metadata.created_at.as_unix_millis() / 1_000;
            metadata.created_at = Timestamp::from_unix_millis(seconds * 1_000);
        }
        Some(Flaw::CutsCiphertextAt4000) => data.ciphertext.truncate(4_000),
        Some(Flaw::TrimsZeroBytes) => trim_zeros(&mut data),
        Some(Flaw::LowercasesKeyIds) => {
            data.key_id = KeyId::new(data.key_id.as_str().to_lowercase()).unwrap()
        }
        Some(Flaw::TrimsTagValues) => metadata.tags = tags(&metadata, |value| Some(value.trim().to_owned())),
        Some(Flaw::DropsEmptyTags) => {
            metadata.tags = tags(&metadata, |value| Some(value.to_owned()).filter(|value| !value.is_empty()));
        }
        Some(Flaw::DropsNonAsciiTags) => {
            metadata.tags = tags(&metadata, |value| Some(value.to_owned()).filter(|value| value.is_ascii()));
        }
        Some(Flaw::RefusesNonAsciiTagsAsOther) if has_non_ascii(&metadata) => {
            return Err(other("odd tags").into());
        }
        Some(Flaw::DropsExtraTags) => {
            let mut kept = Tags::new();
            for (key, value) in metadata.tags.iter().take(TAGS[0]) {
                kept.insert(key, value).unwrap();
            }
            metadata.tags = kept;
        }
        Some(Flaw::CutsLongTags) => {
            if metadata.tags.len() > TAGS[0] || metadata.tags.keys().any(|key| key.len() > TAGS[1]) {
                return Err(StorageErrorKind::InvalidRequest { reason: "too many".into() }.into());
            }
            metadata.tags = tags(&metadata, |value| Some(value.chars().take(TAGS[2]).collect()));
        }
        _ => {}
    }
    Ok(Sealed { data, metadata })
}

pub(crate) fn has_non_ascii(metadata: &CredentialMetadata) -> bool {
    metadata.tags.iter().any(|(key, value)| !key.is_ascii() || !value.is_ascii())
}

/// Rounds a number to the precision of a 64-bit float.
pub(crate) fn rounded(number: u64) -> u64 {
    if number > 1 << 53 { number & !0x7ff } else { number }
}

fn trim_zeros(data: &mut EncryptedData) {
    while data.ciphertext.last() == Some(&0) {
        data.ciphertext.pop();
    }
}

fn tags(metadata: &CredentialMetadata, change: impl Fn(&str) -> Option<String>) -> Tags {
    let mut changed = Tags::new();
    for (key, value) in metadata.tags.iter() {
        if let Some(value) = change(value) {
            changed.insert(key, value).unwrap();
        }
    }
    changed
}

/// Returns whether a flawed provider's filter admits the value.
pub(crate) fn admits(flaw: Option<Flaw>, filter: &CredentialFilter, metadata: &CredentialMetadata) -> bool {
    let by = |compare: fn(&str, &str) -> bool| {
        filter.tags.iter().all(|(key, wanted)| {
            metadata.tags.iter().any(|(found, value)| compare(key, found) && compare(wanted, value))
        })
    };
    let bounds = |filter: &CredentialFilter| {
        let mut bounds = filter.clone();
        bounds.tags.clear();
        bounds.matches(metadata)
    };
    match flaw {
        Some(Flaw::IgnoresFilters) => true,
        Some(Flaw::OrsTags) if !filter.tags.is_empty() => {
            bounds(filter) && filter.tags.iter().any(|(key, value)| metadata.tags.get(key) == Some(value))
        }
        Some(Flaw::ComparesTagsWithoutCase) => bounds(filter) && by(|a, b| a.eq_ignore_ascii_case(b)),
        Some(Flaw::ComparesTagsByPrefix) => bounds(filter) && by(|wanted, found| found.starts_with(wanted)),
        Some(Flaw::TreatsBoundsAsInclusive) => {
            let mut tags_only = filter.clone();
            (tags_only.created_after, tags_only.created_before) = (None, None);
            tags_only.matches(metadata)
                && filter.created_after.is_none_or(|bound| metadata.created_at >= bound)
                && filter.created_before.is_none_or(|bound| metadata.created_at <= bound)
        }
        Some(Flaw::IgnoresBounds) => {
            let mut tags_only = filter.clone();
            (tags_only.created_after, tags_only.created_before) = (None, None);
            tags_only.matches(metadata)
        }
        _ => filter.matches(metadata),
    }
}
