//! The paths of all cached values by scope, so that the cost of clearing a subtree is at most
//! proportional to its size.

use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::ops::Bound;

use cred_core::{CredentialId, PathRef, ScopeId};

#[derive(Default)]
pub(super) struct CachedPaths {
    unscoped: HashSet<CredentialId>,
    /// Sorted as text, so that the scopes below a scope are adjacent.
    scoped: BTreeMap<ScopeId, HashSet<CredentialId>>,
}

/// The cached ids of one scope.
pub(super) type ScopeIds = (Option<ScopeId>, HashSet<CredentialId>);

impl CachedPaths {
    pub(super) fn insert(&mut self, path: PathRef<'_>) {
        let id = path.id.clone();
        let Some(scope) = path.scope else {
            self.unscoped.insert(id);
            return;
        };
        self.scoped.entry(scope.clone()).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, path: PathRef<'_>) {
        let Some(scope) = path.scope else {
            self.unscoped.remove(path.id);
            return;
        };
        if let Some(ids) = self.scoped.get_mut(scope) {
            ids.remove(path.id);
            if ids.is_empty() {
                self.scoped.remove(scope);
            }
        }
    }

    /// Removes and returns the paths of a subtree; `None`: all paths. It moves the set of each
    /// scope.
    pub(super) fn take_within(&mut self, scope: Option<&ScopeId>) -> Vec<ScopeIds> {
        let Some(scope) = scope else {
            let unscoped = (None, mem::take(&mut self.unscoped));
            let scoped = mem::take(&mut self.scoped).into_iter();
            return scoped.map(|(scope, ids)| (Some(scope), ids)).chain([unscoped]).collect();
        };
        // `0` is the next character after `/`.
        let (from, to) = (format!("{scope}/"), format!("{scope}0"));
        let below = self
            .scoped
            .range::<str, _>((Bound::Included(from.as_str()), Bound::Excluded(to.as_str())))
            .map(|(scope, _)| scope.clone());
        let scopes: Vec<ScopeId> = below.chain([scope.clone()]).collect();
        let taken = scopes.into_iter().filter_map(|scope| self.scoped.remove_entry(&scope));
        taken.map(|(scope, ids)| (Some(scope), ids)).collect()
    }
}

#[cfg(test)]
mod tests {
    use cred_core::CredentialPath;

    use super::*;

    fn paths(taken: Vec<ScopeIds>) -> Vec<String> {
        let mut paths: Vec<_> = taken
            .iter()
            .flat_map(|(scope, ids)| ids.iter().map(|id| PathRef::new(scope.as_ref(), id).to_string()))
            .collect();
        paths.sort_unstable();
        paths
    }

    #[test]
    fn a_subtree_is_taken_without_its_neighbours() {
        let mut cached = CachedPaths::default();
        let all = [
            "id",
            "org:a-b/id",
            "org:a.b/id",
            "org:a/id",
            "org:a/id2",
            "org:a/t:x/id",
            "org:a0/id",
            "org:b/id",
        ];
        for path in all {
            cached.insert(path.parse::<CredentialPath>().unwrap().as_path_ref());
        }
        let scope = "org:a".parse().unwrap();
        assert_eq!(paths(cached.take_within(Some(&scope))), ["org:a/id", "org:a/id2", "org:a/t:x/id"]);
        assert_eq!(paths(cached.take_within(Some(&scope))), [""; 0]);
        let rest = ["id", "org:a-b/id", "org:a.b/id", "org:a0/id", "org:b/id"];
        assert_eq!(paths(cached.take_within(None)), rest);
    }

    #[test]
    fn a_scope_without_cached_paths_uses_no_memory() {
        let mut cached = CachedPaths::default();
        for path in ["org:a/id", "org:a/id2"] {
            cached.insert(path.parse::<CredentialPath>().unwrap().as_path_ref());
        }
        for path in ["org:a/id", "org:a/id2", "org:a/id2", "id"] {
            cached.remove(path.parse::<CredentialPath>().unwrap().as_path_ref());
        }
        assert!(cached.scoped.is_empty());
    }
}
