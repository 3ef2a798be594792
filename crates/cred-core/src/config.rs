//! The common interface of provider configurations.

use std::borrow::Cow;
use std::fmt;

/// The configuration of a provider. Its fields are public and are validated together before the
/// provider is created.
pub trait ProviderConfig: Send + Sync + Clone {
    /// Checks every field. Providers call it in their constructors.
    ///
    /// # Errors
    /// [`ConfigError`] names the first invalid field and how to correct it.
    fn validate(&self) -> Result<(), ConfigError>;

    /// Returns the provider's name in errors, spans and metrics.
    fn provider_name(&self) -> &'static str;
}

/// The error for an invalid configuration. The message never contains the value of a secret field.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field has an invalid value.
    #[error("the {provider} configuration is invalid: `{field}` {problem}")]
    Invalid {
        /// The provider, or the configured part.
        provider: Cow<'static, str>,
        /// The field.
        field: Cow<'static, str>,
        /// The fault and how to correct it, as the end of a sentence that begins with the field.
        problem: Cow<'static, str>,
    },
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}

impl ConfigError {
    /// Creates the error for a field with an invalid value. `problem` is the end of a sentence that
    /// begins with the field.
    #[must_use]
    pub fn invalid(
        provider: impl Into<Cow<'static, str>>,
        field: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid { provider: provider.into(), field: field.into(), problem: problem.into() }
    }

    /// Returns the invalid field.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Invalid { field, .. } => field,
        }
    }
}
