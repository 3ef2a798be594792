//! The guarantees and limits of a provider.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The guarantees and limits of a provider. They are set when the provider is created and never
/// change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The backend's name in errors, spans and metrics, such as `vault`.
    pub name: Cow<'static, str>,
    /// Limits of the backend, and the recommended payload size.
    pub limits: Limits,
    /// When a write becomes visible.
    pub consistency: Consistency,
    /// Maximum time for one operation, all attempts and waits together. After it, the caller has a
    /// result.
    pub operation_timeout: Duration,
    /// How long a write with an unknown outcome may still take effect, from the moment at which the
    /// provider or the caller stops waiting for it.
    pub in_doubt: Duration,
    /// Number of ids that one request of `retrieve_many` reads. 1: the backend cannot read several
    /// credentials at once, so single reads are as good.
    pub batch: NonZeroUsize,
}

impl Description {
    /// Creates the description of a provider without limits, with strong consistency, without batch
    /// reads, and with an [`in_doubt`](Self::in_doubt) time equal to `operation_timeout`.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, operation_timeout: Duration) -> Self {
        Self {
            name: name.into(),
            limits: Limits::default(),
            consistency: Consistency::Strong,
            operation_timeout,
            in_doubt: operation_timeout,
            batch: NonZeroUsize::MIN,
        }
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`consistency`](Self::consistency).
    #[must_use]
    pub fn with_consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Sets [`in_doubt`](Self::in_doubt).
    #[must_use]
    pub fn with_in_doubt(mut self, in_doubt: Duration) -> Self {
        self.in_doubt = in_doubt;
        self
    }

    /// Sets [`batch`](Self::batch).
    #[must_use]
    pub fn with_batch(mut self, batch: NonZeroUsize) -> Self {
        self.batch = batch;
        self
    }
}

/// Limits of a provider, and the recommended payload size. A credential over a limit is refused
/// before anything is sent; a payload over the recommended size is stored. `None`: no known limit,
/// or no recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum size of the encoded payload in bytes, as the backend counts them.
    pub max_payload_len: Option<usize>,
    /// Recommended maximum size of the encoded payload in bytes, as the backend counts them. It is
    /// not a limit: `cred-provider-kit` stores a larger payload and logs a warning. Default:
    /// `None`, no warning. A value at or above [`max_payload_len`](Self::max_payload_len) has no
    /// effect, since a larger payload is refused.
    ///
    /// The stores use the values of the specification's table of size limits: local files 1 MiB,
    /// AWS 32 KiB, Azure 10 KiB, Vault and Kubernetes 256 KiB.
    pub recommended_payload_len: Option<usize>,
    /// Maximum number of tags on one credential.
    pub max_tags: Option<usize>,
    /// Maximum length of a tag's key in bytes.
    pub max_tag_key_len: Option<usize>,
    /// Maximum length of a tag's value in bytes.
    pub max_tag_value_len: Option<usize>,
}

impl Limits {
    /// Returns no limits and no recommendation.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            max_payload_len: None,
            recommended_payload_len: None,
            max_tags: None,
            max_tag_key_len: None,
            max_tag_value_len: None,
        }
    }

    /// Sets [`max_payload_len`](Self::max_payload_len).
    #[must_use]
    pub const fn with_max_payload_len(mut self, bytes: usize) -> Self {
        self.max_payload_len = Some(bytes);
        self
    }

    /// Sets [`recommended_payload_len`](Self::recommended_payload_len).
    #[must_use]
    pub const fn with_recommended_payload_len(mut self, bytes: usize) -> Self {
        self.recommended_payload_len = Some(bytes);
        self
    }

    /// Sets the three limits on tags: their number, and the length of a key and of a value in
    /// bytes.
    #[must_use]
    pub const fn with_max_tags(mut self, count: usize, key_len: usize, value_len: usize) -> Self {
        self.max_tags = Some(count);
        self.max_tag_key_len = Some(key_len);
        self.max_tag_value_len = Some(value_len);
        self
    }
}

/// When a completed write is visible to reads and lists that start after it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// Immediately.
    Strong,
    /// After these times at the latest, counted from the return of the write.
    Eventual {
        /// For reads of one credential.
        point: Duration,
        /// For lists.
        list: Duration,
    },
}

impl Consistency {
    /// Returns the maximum delay until a read of one credential sees a completed write.
    #[must_use]
    pub const fn point(self) -> Duration {
        match self {
            Self::Strong => Duration::ZERO,
            Self::Eventual { point, .. } => point,
        }
    }

    /// Returns the maximum delay until a list sees a completed write.
    #[must_use]
    pub const fn list(self) -> Duration {
        match self {
            Self::Strong => Duration::ZERO,
            Self::Eventual { list, .. } => list,
        }
    }
}
