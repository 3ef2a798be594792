//! Classes of errors, by what a caller can do about them.

/// The class of an error: what a caller can do about it, whichever part failed.
///
/// | class | what to do | HTTP status |
/// |---|---|---|
/// | `NotFound` | store the credential, or check the path | 404 |
/// | `Conflict` | read the credential again and repeat the change | 409 |
/// | `InvalidRequest` | correct the request; the same request fails again | 400 |
/// | `Denied` | grant this service the permission in the backend | 502 |
/// | `Transient` | try again later | 503 |
/// | `UnknownOutcome` | read the credential back: a write may have happened | 504 |
/// | `Broken` | have an operator investigate | 500 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// No credential is stored at the path.
    NotFound,
    /// Another writer changed the credential first. Nothing was written.
    Conflict,
    /// The request cannot be fulfilled. Nothing was written.
    InvalidRequest,
    /// The backend refuses this service, not the end user of the service.
    Denied,
    /// The same call may succeed a little later.
    Transient,
    /// A write may or may not have happened.
    UnknownOutcome,
    /// A failure that a retry does not fix: damaged data, a missing key, a full disk.
    Broken,
}

impl ErrorClass {
    /// Returns the name of the class in logs and metrics, such as `not_found`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::InvalidRequest => "invalid_request",
            Self::Denied => "denied",
            Self::Transient => "transient",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Broken => "broken",
        }
    }

    /// Returns a suitable HTTP response status, as in the table above.
    #[must_use]
    pub const fn http_status_hint(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::InvalidRequest => 400,
            Self::Denied => 502,
            Self::Transient => 503,
            Self::UnknownOutcome => 504,
            Self::Broken => 500,
        }
    }
}
