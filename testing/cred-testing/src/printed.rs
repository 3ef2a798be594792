//! Collects the printed forms of values and errors, and searches them for secrets.

use std::error::Error;
use std::fmt::Debug;

/// Collects printed text in order to search it for secrets.
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

    /// Prints an error and its causes with `Display` and both forms of `Debug`.
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

    /// Returns the number of texts.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns whether any text contains `part`.
    #[must_use]
    pub fn contains(&self, part: &str) -> bool {
        self.0.iter().any(|text| text.contains(part))
    }

    /// Checks that no text contains a secret.
    ///
    /// # Panics
    /// If a secret is found, or if nothing was printed. The message shows the text before the
    /// secret.
    #[track_caller]
    pub fn holds_none_of(&self, secrets: &[&str]) {
        assert!(!self.0.is_empty(), "nothing was printed");
        for text in &self.0 {
            for secret in secrets {
                if let Some(at) = text.find(secret) {
                    let before = text.get(at.saturating_sub(200)..at).unwrap_or_default();
                    panic!("a secret was printed after this text: {before}");
                }
            }
        }
    }
}
