//! Why a text is not an id, a scope, a tag or a name.

use std::fmt;

/// A text that cannot be an id, scope, tag or name. The message never repeats the text: whoever
/// passes a secret where a name belongs must not find it in a log.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Nothing was given.
    #[error("{what} is empty; give at least one character")]
    Empty {
        /// What was being parsed.
        what: &'static str,
    },
    /// Longer than the type allows.
    #[error("{what} is {length} bytes long; use at most {limit}")]
    TooLong {
        /// What was being parsed.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most bytes that are allowed.
        limit: usize,
    },
    /// A character outside the alphabet.
    #[error("{what} has a character at byte {position} that is not allowed; use {allowed}")]
    Character {
        /// What was being parsed.
        what: &'static str,
        /// Byte offset of the first such character.
        position: usize,
        /// The alphabet, in words.
        allowed: &'static str,
    },
    /// Not built as it must be.
    #[error("{what} is malformed: {problem}")]
    Malformed {
        /// What was being parsed.
        what: &'static str,
        /// What is wrong and how it should look.
        problem: &'static str,
    },
    /// More entries than the type allows.
    #[error("there are {count} {what}; use at most {limit}")]
    TooMany {
        /// What was being counted, in the plural.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The most that are allowed.
        limit: usize,
    },
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}
