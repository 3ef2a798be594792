//! Everything that values and errors can print of themselves.

use std::error::Error;
use std::fmt::Debug;

/// Collects what was printed, to be searched for secrets.
#[derive(Debug, Default)]
pub struct Printed(Vec<String>);

impl From<&str> for Printed {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

impl Printed {
    /// Prints a value in both forms of `Debug`.
    pub fn value(&mut self, value: &impl Debug) {
        self.text(format!("{value:?} {value:#?}"));
    }

    /// Prints an error and its causes in every way there is.
    pub fn error(&mut self, error: &(dyn Error + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.text(format!("{error} {error:?} {error:#?}"));
            cause = error.source();
        }
    }

    /// Adds a text.
    pub fn text(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }

    /// How many texts were printed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether this is part of any text.
    #[must_use]
    pub fn contains(&self, part: &str) -> bool {
        self.0.iter().any(|text| text.contains(part))
    }

    /// Looks for secrets in everything that was printed.
    ///
    /// # Panics
    /// If one is found, or if nothing was printed. The message shows what stands before the secret.
    #[track_caller]
    pub fn holds_none_of(&self, secrets: &[&str]) {
        assert!(!self.0.is_empty(), "nothing was printed");
        for text in &self.0 {
            for secret in secrets {
                if let Some(at) = text.find(secret) {
                    let before = text.get(at.saturating_sub(200)..at).unwrap_or_default();
                    panic!("a secret is printed after: {before}");
                }
            }
        }
    }
}
