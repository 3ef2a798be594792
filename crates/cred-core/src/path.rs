//! Paths: the scope and id of a credential.

use std::fmt;
use std::str::FromStr;

use equivalent::Equivalent;

use crate::{CredentialId, ParseError, ScopeId};

/// The scope and id of a credential, which identify it in storage, cache and sealing.
///
/// It is written and parsed as `scope/id`, or as `id` without a scope. An id contains neither `:`
/// nor `/`, so the two forms cannot be confused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialPath {
    /// The tenant that owns the credential; `None`: it belongs to no tenant.
    pub scope: Option<ScopeId>,
    /// The name of the credential in the scope.
    pub id: CredentialId,
}

impl CredentialPath {
    /// Creates a path from a scope and an id.
    #[must_use]
    pub const fn new(scope: Option<ScopeId>, id: CredentialId) -> Self {
        Self { scope, id }
    }

    /// Returns a borrowed path.
    #[must_use]
    pub const fn as_path_ref(&self) -> PathRef<'_> {
        PathRef { scope: self.scope.as_ref(), id: &self.id }
    }

    /// Returns whether the path is in `root` or in a scope below it, as in
    /// [`list_tree`](crate::StorageProvider::list_tree). With `None`, it is true for every path,
    /// also one without a scope.
    #[must_use]
    pub fn is_within(&self, root: Option<&ScopeId>) -> bool {
        root.is_none_or(|root| self.scope.as_ref().is_some_and(|scope| root.contains(scope)))
    }
}

impl fmt::Display for CredentialPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path_ref().fmt(f)
    }
}

impl FromStr for CredentialPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once('/') {
            Some((scope, id)) => Ok(Self::new(Some(scope.parse()?), id.parse()?)),
            None => Ok(Self::new(None, text.parse()?)),
        }
    }
}

/// A borrowed [`CredentialPath`]. It has the same hash and is [`Equivalent`], so a lookup in a map
/// with paths as keys does not allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathRef<'a> {
    /// The tenant that owns the credential; `None`: it belongs to no tenant.
    pub scope: Option<&'a ScopeId>,
    /// The name of the credential in the scope.
    pub id: &'a CredentialId,
}

impl<'a> PathRef<'a> {
    /// Creates a path from a scope and an id.
    #[must_use]
    pub const fn new(scope: Option<&'a ScopeId>, id: &'a CredentialId) -> Self {
        Self { scope, id }
    }

    /// Returns an owned copy. It increments two reference counts and copies no text.
    #[must_use]
    pub fn to_path(&self) -> CredentialPath {
        CredentialPath { scope: self.scope.cloned(), id: self.id.clone() }
    }
}

impl Equivalent<CredentialPath> for PathRef<'_> {
    fn equivalent(&self, path: &CredentialPath) -> bool {
        *self == path.as_path_ref()
    }
}

impl From<PathRef<'_>> for CredentialPath {
    fn from(path: PathRef<'_>) -> Self {
        path.to_path()
    }
}

impl fmt::Display for PathRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            Some(scope) => write!(f, "{scope}/{}", self.id),
            None => self.id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn a_borrowed_path_hashes_and_compares_like_the_owned_one() {
        let state = RandomState::new();
        for text in ["id", "org:a/id", "org:a/team:b/id"] {
            let path: CredentialPath = text.parse().unwrap();
            assert_eq!(state.hash_one(&path), state.hash_one(path.as_path_ref()), "{text}");
            assert!(path.as_path_ref().equivalent(&path));
        }
        let other: CredentialPath = "org:b/id".parse().unwrap();
        assert!(!"id".parse::<CredentialPath>().unwrap().as_path_ref().equivalent(&other));
    }

    #[test]
    fn a_path_is_within_its_scope_parent_scopes_and_the_root() {
        let path = |text: &str| text.parse::<CredentialPath>().unwrap();
        let org: ScopeId = "org:a".parse().unwrap();
        for (text, within) in
            [("org:a/id", true), ("org:a/team:x/id", true), ("org:ab/id", false), ("id", false)]
        {
            assert_eq!(path(text).is_within(Some(&org)), within, "{text}");
            assert!(path(text).is_within(None), "{text}");
        }
        let team: ScopeId = "org:a/team:x".parse().unwrap();
        assert!(!path("org:a/id").is_within(Some(&team)));
    }

    #[test]
    fn display_and_parse_are_inverse() {
        for text in ["id", "org:a/id", "org:a/team:b/id"] {
            assert_eq!(text.parse::<CredentialPath>().unwrap().to_string(), text);
        }
        for bad in ["", "/", "org:a/", "/id", "org/id", "org:a"] {
            assert!(bad.parse::<CredentialPath>().is_err(), "{bad:?}");
        }
    }
}
