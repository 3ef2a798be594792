//! The metadata of a credential, which is readable without its key.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::text::{self, name_type, text_type};
use crate::{ParseError, RotationPolicy, Tags, Timestamp};

/// The metadata of a credential, which is readable without its key. It is not secret. Sealing
/// authenticates it, so an edit is detected when the credential is opened.
///
/// The time of the last access is not recorded: every read would then have to write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CredentialMetadata {
    /// When the credential was first stored. `rotate` keeps it, and so does a plain store if the
    /// manager has the credential in its cache. Any other store sets it.
    pub created_at: Timestamp,
    /// When this value was stored. It is kept if only tags, expiry or policy change.
    pub last_modified: Timestamp,
    /// Number of values so far. Each `rotate` increments it, and so does a plain store if the
    /// manager has the credential in its cache. Any other store sets it to 1. 0: unknown.
    pub version: u64,
    /// Labels to filter by.
    pub tags: Tags,
    /// When the value stops being valid; `None`: it does not expire.
    pub expires_at: Option<Timestamp>,
    /// When the value should be replaced; `None`: no policy.
    pub rotation: Option<RotationPolicy>,
    /// The service or person that first stored the credential, under the name that its writer
    /// chose; `None`: not recorded. It is kept and set like [`created_at`](Self::created_at): a
    /// plain store of a credential that the manager does not have in its cache records the name of
    /// the current writer, or none.
    ///
    /// Sealing authenticates it, so a backend cannot change it. It proves nothing about the writer:
    /// a holder of the sealing key can record any name.
    pub created_by: Option<CreatedBy>,
    /// Fields of a newer version, kept unchanged.
    pub unknown: UnknownFields,
}

impl CredentialMetadata {
    /// Creates metadata of a value first stored at `created_at`: version 1, no tags, no expiry, no
    /// policy.
    #[must_use]
    pub fn new(created_at: Timestamp) -> Self {
        Self { created_at, last_modified: created_at, version: 1, ..Self::default() }
    }

    /// Sets [`tags`](Self::tags).
    #[must_use]
    pub fn with_tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// Sets [`expires_at`](Self::expires_at).
    #[must_use]
    pub fn with_expires_at(mut self, expires_at: impl Into<Option<Timestamp>>) -> Self {
        self.expires_at = expires_at.into();
        self
    }

    /// Sets [`rotation`](Self::rotation).
    #[must_use]
    pub fn with_rotation(mut self, rotation: impl Into<Option<RotationPolicy>>) -> Self {
        self.rotation = rotation.into();
        self
    }

    /// Sets [`created_by`](Self::created_by).
    #[must_use]
    pub fn with_created_by(mut self, created_by: impl Into<Option<CreatedBy>>) -> Self {
        self.created_by = created_by.into();
        self
    }

    /// Returns whether the value is expired at `now`: true from the expiry itself on.
    #[must_use]
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }
}

text_type! {
    /// The name of a service or person that first stored a credential: 1 to [`CreatedBy::MAX_LEN`]
    /// bytes of printable ASCII, spaces included.
    ///
    /// It is not secret. The writer chooses it, so it is a note for people and not a proof: do not
    /// use it for access decisions.
    ///
    /// ```
    /// use cred_core::CreatedBy;
    /// assert_eq!(CreatedBy::from_static("payments-service").as_str(), "payments-service");
    /// assert!("two\nlines".parse::<CreatedBy>().is_err());
    /// ```
    CreatedBy, check_created_by
}
name_type!(CreatedBy);

impl CreatedBy {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 256;
}

fn check_created_by(text: &str) -> Result<(), ParseError> {
    let printable = |byte: u8| matches!(byte, b' '..=b'~');
    text::check("the creator's name", text, CreatedBy::MAX_LEN, printable, "printable ASCII")
}

/// Metadata fields that this version does not know, as bytes by field number. They are written back
/// unchanged, so an older service does not remove the fields of a newer one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnknownFields(BTreeMap<u16, Vec<u8>>);

impl UnknownFields {
    /// The possible numbers of unknown fields. Known fields have lower numbers, reserved fields
    /// higher ones.
    pub const NUMBERS: std::ops::Range<u16> = 8..0x8000;

    /// Sets a field.
    ///
    /// # Errors
    /// [`ParseError`] if `number` is not in [`UnknownFields::NUMBERS`].
    pub fn insert(&mut self, number: u16, value: Vec<u8>) -> Result<(), ParseError> {
        if !Self::NUMBERS.contains(&number) {
            let problem = "its number belongs to a known or reserved field";
            return Err(ParseError::Malformed { what: "an unknown metadata field", problem });
        }
        self.0.insert(number, value);
        Ok(())
    }
}

/// Read access; to change a field, use [`UnknownFields::insert`].
impl Deref for UnknownFields {
    type Target = BTreeMap<u16, Vec<u8>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_reserved_numbers_are_never_unknown() {
        let mut fields = UnknownFields::default();
        for number in [0, 1, 7, 0x8000, u16::MAX] {
            assert!(fields.insert(number, vec![]).is_err(), "{number}");
        }
        for number in [8, 0x7fff] {
            assert!(fields.insert(number, vec![]).is_ok(), "{number}");
        }
    }

    #[test]
    fn a_creator_has_1_to_256_bytes_of_printable_ascii() {
        let most = "~".repeat(CreatedBy::MAX_LEN);
        for good in ["a", " ", "payments-service", "CN=payments, O=\"Acme\" \\ <a@b>", &most] {
            assert_eq!(CreatedBy::new(good).unwrap().as_str(), good);
        }
        assert!(matches!(CreatedBy::new(""), Err(ParseError::Empty { .. })));
        let longer = CreatedBy::new("x".repeat(257));
        assert!(matches!(longer, Err(ParseError::TooLong { length: 257, limit: 256, .. })));
        for bad in ["a\n", "\u{1b}[31m", "a\0", "\u{7f}", "Zoë", "\t"] {
            assert!(matches!(CreatedBy::new(bad), Err(ParseError::Character { .. })), "{bad:?}");
        }
        let back: CreatedBy = serde_json::from_str("\"a b\"").unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), "\"a b\"");
        assert!(serde_json::from_str::<CreatedBy>("\"a\\n\"").is_err());
    }

    #[test]
    fn a_value_is_expired_from_its_expiry_on() {
        let at = Timestamp::from_unix_millis;
        let metadata = CredentialMetadata::new(at(1)).with_expires_at(at(10));
        assert!(!metadata.is_expired_at(at(9)));
        assert!(metadata.is_expired_at(at(10)));
        assert!(!CredentialMetadata::new(at(1)).is_expired_at(at(u64::MAX)));
    }
}
