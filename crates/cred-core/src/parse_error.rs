//! Errors of parsing ids, scopes, tags and names.

use std::fmt;

/// The error for a text that is not a valid id, scope, tag or name. The message never contains the
/// text, so a secret that is passed in place of a name does not get into a log.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is empty.
    #[error("{what} is empty; give at least one character")]
    Empty {
        /// The parsed item, such as "the credential id".
        what: &'static str,
    },
    /// The text is longer than the type allows.
    #[error("{what} is {length} bytes long; use at most {limit} bytes")]
    TooLong {
        /// The parsed item, such as "the credential id".
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The text contains a character that is not allowed.
    #[error("{what} has a character at byte {position} that is not allowed; use {allowed}")]
    Character {
        /// The parsed item, such as "the credential id".
        what: &'static str,
        /// Byte offset of the first such character.
        position: usize,
        /// The allowed characters, as text.
        allowed: &'static str,
    },
    /// The text does not have the required structure.
    #[error("{what} is malformed: {problem}")]
    Malformed {
        /// The parsed item, such as "the credential id".
        what: &'static str,
        /// The fault and the expected form.
        problem: &'static str,
    },
    /// There are more entries than the type allows.
    #[error("there are {count} {what}; use at most {limit}")]
    TooMany {
        /// The counted items, in the plural.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The maximum number.
        limit: usize,
    },
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}
