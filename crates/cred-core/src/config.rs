//! What all provider configurations have in common.

use std::borrow::Cow;
use std::fmt;

/// A provider's configuration: public fields, checked as a whole before the provider is built.
pub trait ProviderConfig: Send + Sync + Clone {
    /// Checks every field. Providers call it in their constructors.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong and what would be right.
    fn validate(&self) -> Result<(), ConfigError>;

    /// The provider's name in errors, spans and metrics.
    fn provider_name(&self) -> &'static str;
}

/// A configuration that cannot be used. Its message never holds a secret field's value.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field has a value that it cannot have.
    #[error("the {provider} configuration is invalid: `{field}` {problem}")]
    Invalid {
        /// The provider, or the part that is configured.
        provider: Cow<'static, str>,
        /// The field.
        field: Cow<'static, str>,
        /// What is wrong with it and what would be right; it continues a sentence that begins with
        /// the field.
        problem: Cow<'static, str>,
    },
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}

impl ConfigError {
    /// A field with a value that it cannot have: `problem` continues a sentence that begins with
    /// the field.
    #[must_use]
    pub fn invalid(
        provider: impl Into<Cow<'static, str>>,
        field: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Invalid { provider: provider.into(), field: field.into(), problem: problem.into() }
    }

    /// The field that is wrong.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Invalid { field, .. } => field,
        }
    }
}
