//! Names of credentials and of keys.

use crate::ParseError;
use crate::text::{self, name_type, text_type};

text_type! {
    /// The name of a credential inside its scope: 1 to [`CredentialId::MAX_LEN`] bytes of
    /// `[A-Za-z0-9_-]`.
    ///
    /// Ids are case-sensitive: `Key` and `key` are two credentials on every backend. The same id in
    /// two scopes is two credentials as well.
    ///
    /// ```
    /// use cred_core::CredentialId;
    /// assert!("stripe-api-key".parse::<CredentialId>().is_ok());
    /// assert!("../etc/passwd".parse::<CredentialId>().is_err());
    /// ```
    CredentialId, check_credential_id
}
name_type!(CredentialId);

impl CredentialId {
    /// The maximum length in bytes: that of a file name on common file systems (NAME_MAX).
    pub const MAX_LEN: usize = 255;
}

fn check_credential_id(text: &str) -> Result<(), ParseError> {
    text::check("the credential id", text, CredentialId::MAX_LEN, text::is_id_byte, "A-Z a-z 0-9 _ -")
}

text_type! {
    /// The name of a sealing key: 1 to [`KeyId::MAX_LEN`] bytes of `[A-Za-z0-9._-]`.
    ///
    /// It is stored in every envelope and printed in errors. A key id must always refer to the same
    /// key: use a new id for other key bytes, another passphrase or other Argon2id parameters.
    KeyId, check_key_id
}
name_type!(KeyId);

impl KeyId {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 64;
}

fn check_key_id(text: &str) -> Result<(), ParseError> {
    text::check("the key id", text, KeyId::MAX_LEN, text::is_name_byte, text::NAME_ALPHABET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_255_bytes_of_its_alphabet() {
        for good in ["a", "Z", "_", "-", "A-b_9", &"x".repeat(255)] {
            assert_eq!(CredentialId::new(good).unwrap().as_str(), good);
        }
        assert_eq!(CredentialId::new(""), Err(ParseError::Empty { what: "the credential id" }));
        assert!(matches!(
            CredentialId::new("x".repeat(256)),
            Err(ParseError::TooLong { length: 256, limit: 255, .. })
        ));
        for bad in [".", "a.b", "a/b", "a b", "a\0", "é", "a:b", "a\n"] {
            assert!(matches!(CredentialId::new(bad), Err(ParseError::Character { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_key_id_may_have_dots_and_64_bytes() {
        assert!(KeyId::new("2026.01-main_key").is_ok());
        assert!(KeyId::new("k".repeat(64)).is_ok());
        assert!(KeyId::new("k".repeat(65)).is_err());
        assert!(KeyId::new("k\u{1b}[31m").is_err(), "it is printed in errors");
    }

    #[test]
    fn from_static_panics_if_the_literal_is_not_an_id() {
        assert_eq!(CredentialId::from_static("stripe").as_str(), "stripe");
        let panic = std::panic::catch_unwind(|| CredentialId::from_static("a/b")).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.starts_with("not a CredentialId: the credential id has a character"), "{message}");
    }

    #[test]
    fn serde_goes_through_the_constructor() {
        let id: CredentialId = serde_json::from_str("\"abc\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"abc\"");
        assert!(serde_json::from_str::<CredentialId>("\"a/b\"").is_err());
    }

    #[test]
    fn a_parse_error_does_not_contain_the_text() {
        let error = CredentialId::new("hunter2 is my password").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
