//! Checking against a backend's limits before anything is sent.

use cred_core::{CredentialMetadata, Limits, StorageError, StorageErrorKind, StorageResult};

/// Checks an encoded payload and the tags of its metadata, in the units of the backend. Allocates only where it refuses.
///
/// # Errors
/// [`TooLarge`](StorageErrorKind::TooLarge) for the payload, [`InvalidRequest`](StorageErrorKind::InvalidRequest) for
/// tags, naming the key of the first one that does not fit and never its value. Nothing was written.
pub fn check(limits: &Limits, payload: &[u8], metadata: &CredentialMetadata) -> StorageResult<()> {
    check_payload_len(limits, payload.len())?;
    check_tags(limits, metadata)
}

/// Checks the length of an encoded payload in bytes, as the backend counts them.
///
/// # Errors
/// [`TooLarge`](StorageErrorKind::TooLarge), with both lengths.
pub fn check_payload_len(limits: &Limits, size: usize) -> StorageResult<()> {
    match limits.max_payload_len {
        Some(limit) if size > limit => Err(StorageErrorKind::TooLarge { size, limit }.into()),
        _ => Ok(()),
    }
}

/// Checks the number of tags and the length of each key and value in bytes.
///
/// # Errors
/// [`InvalidRequest`](StorageErrorKind::InvalidRequest), as [`check`] says.
pub fn check_tags(limits: &Limits, metadata: &CredentialMetadata) -> StorageResult<()> {
    let tags = &metadata.tags;
    if let Some(limit) = exceeded(tags.len(), limits.max_tags) {
        let count = tags.len();
        return Err(StorageError::invalid_request(format!("it has {count} tags; use at most {limit}")));
    }
    for (key, value) in tags.iter() {
        if let Some(limit) = exceeded(key.len(), limits.max_tag_key_len) {
            let length = key.len();
            return Err(StorageError::invalid_request(format!(
                "the key of tag `{key}` has {length} bytes; use at most {limit}"
            )));
        }
        if let Some(limit) = exceeded(value.len(), limits.max_tag_value_len) {
            let length = value.len();
            return Err(StorageError::invalid_request(format!(
                "the value of tag `{key}` has {length} bytes; use at most {limit}"
            )));
        }
    }
    Ok(())
}

/// The limit, where the length is over it.
fn exceeded(length: usize, limit: Option<usize>) -> Option<usize> {
    limit.filter(|limit| length > *limit)
}

#[cfg(test)]
mod tests {
    use cred_core::{Tags, Timestamp};

    use super::*;

    fn metadata(tags: &[(&str, &str)]) -> CredentialMetadata {
        let mut all = Tags::new();
        for (key, value) in tags {
            all.insert(*key, *value).unwrap();
        }
        CredentialMetadata::new(Timestamp::from_unix_millis(1)).with_tags(all)
    }

    #[test]
    fn what_is_at_a_limit_is_taken_and_one_more_is_refused() {
        let limits = Limits::none().with_max_payload_len(3).with_max_tags(2, 4, 5);
        let full = metadata(&[("abcd", "12345"), ("b", "")]);
        assert!(check(&limits, b"123", &full).is_ok());
        assert_eq!(
            check(&limits, b"1234", &full).unwrap_err().kind(),
            &StorageErrorKind::TooLarge { size: 4, limit: 3 }
        );
        for bad in [
            metadata(&[("a", ""), ("b", ""), ("c", "")]),
            metadata(&[("abcde", "")]),
            metadata(&[("a", "123456")]),
        ] {
            let error = check(&limits, b"", &bad).unwrap_err();
            assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
            assert!(!error.may_have_written());
        }
    }

    #[test]
    fn lengths_are_bytes_not_characters() {
        let limits = Limits::none().with_max_tags(1, 2, 2);
        assert!(check_tags(&limits, &metadata(&[("é", "é")])).is_ok());
        assert!(check_tags(&limits, &metadata(&[("a", "éa")])).is_err());
    }

    #[test]
    fn a_refusal_names_the_key_and_not_the_value() {
        let limits = Limits::none().with_max_tags(9, 9, 9);
        let error = check_tags(&limits, &metadata(&[("owner", "hunter2hunter2")])).unwrap_err().to_string();
        assert!(error.contains("`owner`") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn without_limits_everything_fits() {
        assert!(check(&Limits::none(), &[0; 4096], &metadata(&[("a", "b")])).is_ok());
    }
}
