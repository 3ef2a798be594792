//! What a provider promises, fixed at its construction.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::time::Duration;

/// What a provider promises. Fixed at construction: the answer never changes in the provider's
/// life.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The backend's name in errors, spans and metrics, such as `vault`.
    pub name: Cow<'static, str>,
    /// What it takes at most, and the payload size that is recommended.
    pub limits: Limits,
    /// When a write shows.
    pub consistency: Consistency,
    /// The longest that one operation takes, all its attempts and waits together: after it, the
    /// caller has an answer.
    pub operation_timeout: Duration,
    /// How long after an unanswered write was given up it may still take effect.
    pub in_doubt: Duration,
    /// Ids per wire call of `retrieve_many`; 1: there is no real batch, and callers do as well with
    /// single reads.
    pub batch: NonZeroUsize,
}

impl Description {
    /// A provider without limits, strongly consistent and without a real batch, whose unanswered
    /// writes may still take effect for another `operation_timeout`.
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

/// What a provider takes at most, and the payload size that is recommended. What is over a limit is
/// refused before anything is sent; what is over the recommendation is stored. `None`: no limit is
/// known, or no size is recommended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the encoded payload, as the backend counts them.
    pub max_payload_len: Option<usize>,
    /// Bytes of the encoded payload, as the backend counts them, up to which the backend is meant
    /// to be used. Advice, not a limit: `cred-provider-kit` logs a warning when a longer payload is
    /// stored, and stores it. Default: `None`, which warns of nothing. A value at or above
    /// [`max_payload_len`](Self::max_payload_len) has no effect, since a longer payload is refused.
    ///
    /// The numbers of the stores are those of the specification's table of size limits: local files
    /// 1 MiB, AWS 32 KiB, Azure 10 KiB, Vault and Kubernetes 256 KiB.
    pub recommended_payload_len: Option<usize>,
    /// Tags on one credential.
    pub max_tags: Option<usize>,
    /// Bytes of a tag's key.
    pub max_tag_key_len: Option<usize>,
    /// Bytes of a tag's value.
    pub max_tag_value_len: Option<usize>,
}

impl Limits {
    /// No limits, and no recommendation.
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

    /// Sets the three bounds on tags: their number, and the bytes of a key and of a value.
    #[must_use]
    pub const fn with_max_tags(mut self, count: usize, key_len: usize, value_len: usize) -> Self {
        self.max_tags = Some(count);
        self.max_tag_key_len = Some(key_len);
        self.max_tag_value_len = Some(value_len);
        self
    }
}

/// When a write shows to reads and lists that start after it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// At once.
    Strong,
    /// After these times at the latest.
    Eventual {
        /// For reads of one credential.
        point: Duration,
        /// For lists.
        list: Duration,
    },
}

impl Consistency {
    /// The longest that a read of one credential may lag behind an answered write.
    #[must_use]
    pub const fn point(self) -> Duration {
        match self {
            Self::Strong => Duration::ZERO,
            Self::Eventual { point, .. } => point,
        }
    }

    /// The longest that a list may lag behind an answered write.
    #[must_use]
    pub const fn list(self) -> Duration {
        match self {
            Self::Strong => Duration::ZERO,
            Self::Eventual { list, .. } => list,
        }
    }
}
