//! What a caller can do about a failure.

/// What a caller can do about a failure, whatever failed.
///
/// | class | what to do | HTTP status |
/// |---|---|---|
/// | `NotFound` | store it, or check the path | 404 |
/// | `Conflict` | read it again and repeat the change | 409 |
/// | `InvalidRequest` | correct the request; it would fail again | 400 |
/// | `Denied` | give this service the right in the backend | 502 |
/// | `Transient` | try again later | 503 |
/// | `UnknownOutcome` | read it back: a write may have happened | 504 |
/// | `Broken` | look at it: a person is needed | 500 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Nothing is stored there.
    NotFound,
    /// Somebody else has changed it first. Nothing was written.
    Conflict,
    /// The caller asked for something that cannot be done. Nothing was written.
    InvalidRequest,
    /// The backend refuses this service: not the end user, who may not know of the backend.
    Denied,
    /// The same call may succeed a little later.
    Transient,
    /// A write may or may not have happened.
    UnknownOutcome,
    /// It does not work, and trying again does not help: damaged data, a missing key, a full disk.
    Broken,
}

impl ErrorClass {
    /// The class as a word for logs and metrics, such as `not_found`.
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

    /// The status that an HTTP handler may answer with, as the table above has it.
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
