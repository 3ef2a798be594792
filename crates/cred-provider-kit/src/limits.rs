//! Checks against the limits of a backend, before anything is sent.

use cred_core::{
    CredentialMetadata, Description, Limits, PathRef, StorageError, StorageErrorKind, StorageResult,
};

/// Checks an encoded payload and the tags of its metadata, in the units of the backend. Allocates
/// only if it rejects. Logs nothing, even if the payload is larger than recommended: it is for
/// checks without a write, such as a dry run.
///
/// # Errors
/// [`TooLarge`](StorageErrorKind::TooLarge) for the payload,
/// [`InvalidRequest`](StorageErrorKind::InvalidRequest) for tags, naming the key of the first one
/// that does not fit and never its value. Nothing was written.
pub fn check(limits: &Limits, payload: &[u8], metadata: &CredentialMetadata) -> StorageResult<()> {
    check_len(limits, payload.len())?;
    check_tags(limits, metadata)
}

/// Checks the length of an encoded payload that is about to be stored under `path`, in bytes as the
/// backend counts them. Call it once for each write, before its first attempt.
///
/// A payload that fits but is longer than
/// [`recommended_payload_len`](Limits::recommended_payload_len) is not rejected. It is logged as a
/// warning with the target `cred::storage` and the fields `provider`, `path`, `size` and
/// `recommended`, both in bytes. Its contents are not logged.
///
/// # Errors
/// [`TooLarge`](StorageErrorKind::TooLarge), with both lengths. Nothing was written or logged.
pub fn check_payload_len(description: &Description, path: PathRef<'_>, size: usize) -> StorageResult<()> {
    check_len(&description.limits, size)?;
    if let Some(recommended) = exceeded(size, description.limits.recommended_payload_len) {
        tracing::warn!(
            target: "cred::storage",
            provider = %description.name,
            %path,
            size,
            recommended,
            "the payload to store is larger than recommended for this backend"
        );
    }
    Ok(())
}

fn check_len(limits: &Limits, size: usize) -> StorageResult<()> {
    match limits.max_payload_len {
        Some(limit) if size > limit => Err(StorageErrorKind::TooLarge { size, limit }.into()),
        _ => Ok(()),
    }
}

/// Checks the number of tags and the length of each key and value in bytes.
///
/// # Errors
/// [`InvalidRequest`](StorageErrorKind::InvalidRequest), as for [`check`].
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

/// Returns the limit if the length exceeds it.
fn exceeded(length: usize, limit: Option<usize>) -> Option<usize> {
    limit.filter(|limit| length > *limit)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cred_core::{CredentialPath, Tags, Timestamp};
    use cred_testing::log::Log;
    use tracing::Level;

    use super::*;

    fn metadata(tags: &[(&str, &str)]) -> CredentialMetadata {
        let mut all = Tags::new();
        for (key, value) in tags {
            all.insert(*key, *value).unwrap();
        }
        CredentialMetadata::new(Timestamp::from_unix_millis(1)).with_tags(all)
    }

    #[test]
    fn a_value_at_a_limit_is_accepted_and_one_more_is_rejected() {
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

    /// Returns the log, at any level, of the check of a payload of this size before a write.
    fn logged(limits: Limits, size: usize) -> String {
        let description = Description::new("vault", Duration::from_secs(1)).with_limits(limits);
        let path: CredentialPath = "org:acme/stripe".parse().unwrap();
        let (log, listening) = Log::of_thread(Level::TRACE);
        let fits = check_payload_len(&description, path.as_path_ref(), size).is_ok();
        drop(listening);
        assert_eq!(fits, limits.max_payload_len.is_none_or(|limit| size <= limit));
        log.text()
    }

    #[test]
    fn a_payload_above_the_recommended_size_is_logged_and_not_refused() {
        let limits = Limits::none().with_max_payload_len(30).with_recommended_payload_len(20);
        let log = logged(limits, 21);
        for part in
            ["WARN", "cred::storage", "provider=vault", "path=org:acme/stripe", "size=21", "recommended=20"]
        {
            assert!(log.contains(part), "{part}: {log}");
        }
        assert_eq!(log.lines().count(), 1, "{log}");
    }

    #[test]
    fn a_payload_is_not_logged_up_to_the_recommended_size_nor_where_it_is_refused() {
        let limits = Limits::none().with_max_payload_len(30).with_recommended_payload_len(20);
        assert_eq!(logged(limits, 20), "");
        assert_eq!(logged(limits, 31), "");
        assert_eq!(logged(Limits::none(), usize::MAX), "", "no size is recommended");
    }

    #[test]
    fn a_check_without_a_write_logs_nothing() {
        let limits = Limits::none().with_recommended_payload_len(3);
        let (log, listening) = Log::of_thread(Level::TRACE);
        check(&limits, b"1234", &metadata(&[])).unwrap();
        drop(listening);
        assert_eq!(log.text(), "");
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
