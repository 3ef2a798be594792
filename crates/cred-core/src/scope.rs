//! The tenant path that owns a credential.

use crate::ParseError;
use crate::text::{self, text_type};

text_type! {
    /// The tenant path that owns a credential: `level:value` parts joined by `/`, such as
    /// `org:acme/team:payments`.
    ///
    /// It has at most [`ScopeId::MAX_LEN`] bytes. Level and value each consist of one or more
    /// characters of `[A-Za-z0-9._-]`, and a value is neither `.` nor `..`. Scopes are
    /// case-sensitive.
    ///
    /// A scope contains itself and the scopes below it, which start with it and a `/`:
    ///
    /// ```
    /// use cred_core::ScopeId;
    /// let org = ScopeId::new("org", "a")?;
    /// assert!(org.contains(&org.child("team", "x")?));
    /// assert!(!org.contains(&ScopeId::new("org", "ab")?));
    /// # Ok::<(), cred_core::ParseError>(())
    /// ```
    ///
    /// If a tenant's name comes from outside, create its scope with [`ScopeId::new`] and
    /// [`ScopeId::child`]. Never insert the name into a text that you parse: a tenant named
    /// `acme/team:x` would get access to another tenant's scope.
    ScopeId, check_scope
}

impl ScopeId {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 512;

    /// Creates a top-level scope, such as `ScopeId::new("org", tenant)`. The value cannot add a
    /// level.
    ///
    /// # Errors
    /// [`ParseError`] if the level or the value breaks the rules, or the scope is too long.
    pub fn new(level: &str, value: &str) -> Result<Self, ParseError> {
        check_part(level, value)?;
        format!("{level}:{value}").parse()
    }

    /// Returns the `(level, value)` parts, top level first; at least one.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.as_str().split('/').filter_map(|part| part.split_once(':'))
    }

    /// Returns whether `other` is this scope or a scope below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match other.as_str().strip_prefix(self.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// Returns the scope one level up; `None` for a top-level scope.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.as_str().rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// Returns a scope one level below this one.
    ///
    /// # Errors
    /// [`ParseError`] if the level or the value breaks the rules, or the new scope is too long.
    pub fn child(&self, level: &str, value: &str) -> Result<Self, ParseError> {
        check_part(level, value)?;
        format!("{self}/{level}:{value}").parse()
    }
}

const WHAT: &str = "the scope";

fn check_scope(text: &str) -> Result<(), ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty { what: WHAT });
    }
    if text.len() > ScopeId::MAX_LEN {
        return Err(ParseError::TooLong { what: WHAT, length: text.len(), limit: ScopeId::MAX_LEN });
    }
    if let Some(position) = text.bytes().position(|byte| !text::is_name_byte(byte) && !b":/".contains(&byte))
    {
        return Err(ParseError::Character {
            what: WHAT,
            position,
            allowed: "A-Z a-z 0-9 . _ - and : / between parts",
        });
    }
    for part in text.split('/') {
        let Some((level, value)) = part.split_once(':') else {
            return Err(malformed(
                "write each part between slashes as level:value, as in org:acme/team:payments",
            ));
        };
        check_part(level, value)?;
    }
    Ok(())
}

fn check_part(level: &str, value: &str) -> Result<(), ParseError> {
    if level.is_empty() || value.is_empty() {
        return Err(malformed("each part needs a level and a value, as in org:acme"));
    }
    if let Some(position) = level.bytes().chain(value.bytes()).position(|byte| !text::is_name_byte(byte)) {
        return Err(ParseError::Character { what: "a scope part", position, allowed: text::NAME_ALPHABET });
    }
    if matches!(value, "." | "..") {
        return Err(malformed("a value cannot be `.` or `..`"));
    }
    Ok(())
}

fn malformed(problem: &'static str) -> ParseError {
    ParseError::Malformed { what: WHAT, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> ScopeId {
        text.parse().unwrap()
    }

    fn is_scope(text: &str) -> bool {
        text.parse::<ScopeId>().is_ok()
    }

    #[test]
    fn parts_are_level_and_value() {
        assert_eq!(scope("org:a.b/team:c-d").parts().collect::<Vec<_>>(), [("org", "a.b"), ("team", "c-d")]);
        assert!(is_scope(&format!("o:{}", "x".repeat(510))));
        for bad in [
            "",
            "org",
            "org:",
            ":a",
            "org:a/",
            "/org:a",
            "org:a//b:c",
            "org:a:b",
            "org:.",
            "org:..",
            "org:a/t:..",
            "org:a b",
            "org:é",
            "org:a\\b:c",
        ] {
            assert!(!is_scope(bad), "{bad:?}");
        }
        assert!(!is_scope(&format!("o:{}", "x".repeat(511))));
    }

    #[test]
    fn containment_ends_at_a_slash() {
        assert!(scope("org:a").contains(&scope("org:a")));
        assert!(scope("org:a").contains(&scope("org:a/t:b")));
        assert!(!scope("org:a/t:b").contains(&scope("org:a")));
        assert!(!scope("org:a").contains(&scope("org:ab")));
        assert!(!scope("org:a").contains(&scope("org:A")));
    }

    #[test]
    fn a_value_from_outside_stays_one_value() {
        assert_eq!(ScopeId::new("org", "acme").unwrap(), scope("org:acme"));
        for hostile in ["acme/team:x", "acme:x", "", ".", "..", "a b"] {
            assert!(ScopeId::new("org", hostile).is_err(), "{hostile:?}");
            assert!(scope("org:a").child("team", hostile).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn children_and_parents_are_inverse() {
        let child = scope("org:a").child("team", "b").unwrap();
        assert_eq!(child, scope("org:a/team:b"));
        assert_eq!(child.parent(), Some(scope("org:a")));
        assert_eq!(scope("org:a").parent(), None);
        assert!(scope("org:a").child("team", "b/role:admin").is_err(), "a value cannot add a level");
        assert!(scope("org:a").child("team", "..").is_err());
    }
}
