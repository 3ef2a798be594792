//! A response that is not from the backend: the page of a portal, or another service.

use std::fmt;

use cred_core::StorageError;

/// Media types that an error may name. Others could repeat what a client sent.
const KNOWN_TYPES: [&str; 8] = [
    "text/html",
    "application/xhtml+xml",
    "text/plain",
    "text/xml",
    "application/xml",
    "application/octet-stream",
    "application/grpc",
    "application/x-www-form-urlencoded",
];

/// A response that is not from the backend: the login page of a proxy, the page of a load balancer,
/// or another service on that port.
///
/// Its `Display` names the address and the kind of content, for the reason of an error. It never
/// repeats the body.
///
/// ```
/// use cred_provider_kit::ForeignResponse;
///
/// let response = ForeignResponse {
///     service: "Vault",
///     address: Some("vault.example.com:8200"),
///     content_type: Some("text/html; charset=utf-8"),
///     body: Some(b"<p/>"),
/// };
/// assert_eq!(
/// response.to_string(),
///     "`vault.example.com:8200` sent `text/html`, which is not an answer of Vault"
/// );
/// assert!(response.error("`address`").is_transient());
/// ```
#[derive(Clone, Copy)]
pub struct ForeignResponse<'a> {
    /// The service that should have answered.
    pub service: &'a str,
    /// Host and port of the server that answered; `None` if unknown.
    pub address: Option<&'a str>,
    /// The `Content-Type` header, unchanged.
    pub content_type: Option<&'a str>,
    /// The body; `None` if it could not be read, or is longer than any response of the service.
    pub body: Option<&'a [u8]>,
}

impl ForeignResponse<'_> {
    /// Returns the error of a call that received this response with a success status. `setting`
    /// names the setting that contains the address, such as "`address`".
    ///
    /// The kind is [`Unavailable`](cred_core::StorageErrorKind::Unavailable): portals and the pages
    /// shown during a deployment go away, and the outcome of a write is unknown.
    #[must_use]
    pub fn error(&self, setting: &str) -> StorageError {
        StorageError::unavailable(format!(
            "{self}; check the host and port of {setting}, and whether a proxy or its login page answers there"
        ))
    }

    /// Describes the body, as far as that is safe.
    fn content(&self) -> &'static str {
        let media_type = self.content_type.and_then(|value| value.split(';').next()).map(str::trim);
        let known = |value: &str| KNOWN_TYPES.iter().find(|known| known.eq_ignore_ascii_case(value));
        match (media_type.and_then(known), self.body) {
            (Some(known), _) => known,
            (None, None) => "a body that cannot be read",
            (None, Some([])) => "an empty body",
            (None, Some(body)) => match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
                Ok(_) => "JSON of another form",
                Err(_) => "text that is not JSON",
            },
        }
    }
}

impl fmt::Display for ForeignResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "`{address}` sent ")?,
            None => f.write_str("the server sent ")?,
        }
        let content = self.content();
        match content.contains('/') {
            true => write!(f, "`{content}`")?,
            false => f.write_str(content)?,
        }
        write!(f, ", which is not an answer of {}", self.service)
    }
}

/// Does not print the body, which may contain a secret.
impl fmt::Debug for ForeignResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForeignResponse").field(&self.to_string()).finish()
    }
}

#[cfg(test)]
mod tests {
    use cred_core::StorageErrorKind;

    use super::*;

    fn described(content_type: Option<&str>, body: Option<&[u8]>) -> String {
        let response = ForeignResponse { service: "Vault", address: Some("[::1]:8200"), content_type, body };
        response.to_string()
    }

    #[test]
    fn a_response_is_described_by_its_type_or_its_body() {
        for (content_type, body, expected) in [
            (Some("text/html"), Some(&b"<p/>"[..]), "`text/html`"),
            (Some("Text/HTML ;charset=utf-8"), Some(b"{}"), "`text/html`"),
            (Some("text/html"), None, "`text/html`"),
            (Some("application/json"), Some(b"{}"), "JSON of another form"),
            (Some("application/json"), Some(b"{"), "text that is not JSON"),
            (None, Some(b"\xff\xfe"), "text that is not JSON"),
            (None, Some(b""), "an empty body"),
            (None, None, "a body that cannot be read"),
        ] {
            let expected = format!("`[::1]:8200` sent {expected}, which is not an answer of Vault");
            assert_eq!(described(content_type, body), expected);
        }
    }

    #[test]
    fn neither_the_type_nor_the_body_is_repeated() {
        let text = described(Some("text/hunter2"), Some(b"hunter2 \x1b[2J"));
        assert!(!text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
        let response = ForeignResponse {
            service: "Vault",
            address: None,
            content_type: Some("hunter2"),
            body: Some(br#"{"token":"hunter2"}"#),
        };
        let text = format!("{response} {response:?} {}", response.error("`address`"));
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.starts_with("the server sent JSON of another form"), "{text}");
    }

    #[test]
    fn a_write_with_a_foreign_response_may_have_happened() {
        let response =
            ForeignResponse { service: "Vault", address: None, content_type: None, body: Some(b"") };
        let error = response.error("`address`");
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
        assert!(error.is_transient() && error.may_have_written());
        assert!(error.to_string().contains("check the host and port of `address`"), "{error}");
    }
}
