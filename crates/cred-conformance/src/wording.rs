//! Formatting of names and lists in messages.

use std::collections::BTreeSet;
use std::fmt::Display;

use cred_core::{CredentialFilter, CredentialPath, ScopeId};

/// Describes the scope and the filter of a list request.
pub(crate) fn spell(scope: Option<&ScopeId>, filter: Option<&CredentialFilter>) -> String {
    let description =
        scope.map_or_else(|| "without a scope".to_owned(), |scope| format!("of scope `{}`", short(scope)));
    match filter {
        Some(filter) => format!("{description} for {filter:?}"),
        None => description,
    }
}

/// Shortens a name of more than 60 bytes to its beginning, its end (where long names differ) and
/// its length.
pub(crate) fn short(name: &impl Display) -> String {
    let name = name.to_string();
    match (name.get(..20), name.len().checked_sub(20).and_then(|from| name.get(from..))) {
        (Some(head), Some(tail)) if name.len() > 60 => format!("{head}...{tail} ({} bytes)", name.len()),
        _ => name,
    }
}

/// Describes the difference between two lists; `None` if `actual` contains each expected item once
/// and no other.
pub(crate) fn mismatch<T: Ord + Display>(expected: &[T], actual: &[T]) -> Option<String> {
    let wanted: BTreeSet<&T> = expected.iter().collect();
    let found: BTreeSet<&T> = actual.iter().collect();
    let missing: Vec<_> = wanted.difference(&found).copied().collect();
    let foreign: Vec<_> = found.difference(&wanted).copied().collect();
    let twice = actual.len() - found.len();
    let mut problems = Vec::new();
    if !missing.is_empty() {
        problems.push(format!("{} missing ({})", missing.len(), sample(&missing)));
    }
    if !foreign.is_empty() {
        problems.push(format!("{} unexpected ({})", foreign.len(), sample(&foreign)));
    }
    if twice > 0 {
        problems.push(format!("{twice} listed more than once"));
    }
    (!problems.is_empty())
        .then(|| format!("expected {}, found {}: {}", wanted.len(), actual.len(), problems.join(", ")))
}

fn sample<T: Display>(names: &[&T]) -> String {
    let shown: Vec<_> = names.iter().take(3).map(|name| format!("`{}`", short(name))).collect();
    let more = if names.len() > 3 { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Finds a path that is listed in another scope than it was stored in. This one mistake would
/// otherwise look like several in every list.
pub(crate) fn moved<'a>(
    expected: &'a [CredentialPath],
    actual: &'a [CredentialPath],
) -> Option<(&'a CredentialPath, &'a CredentialPath)> {
    let foreign = |path: &&CredentialPath| !expected.contains(path);
    let missing = |path: &&CredentialPath| !actual.contains(path);
    let found = actual.iter().find(foreign)?;
    let stored = expected.iter().filter(missing).find(|path| path.id == found.id)?;
    (stored.scope != found.scope).then_some((stored, found))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn a_long_name_is_shortened_in_the_middle() {
        assert_eq!(short(&"key"), "key");
        assert_eq!(short(&"k".repeat(60)), "k".repeat(60));
        let long = format!("org:{}/end", "s".repeat(100));
        assert_eq!(short(&long), "org:ssssssssssssssss...ssssssssssssssss/end (108 bytes)");
    }

    #[test]
    fn a_mismatch_names_missing_unexpected_and_repeated_items() {
        assert_eq!(mismatch(&["a", "b"], &["b", "a"]), None);
        assert_eq!(
            mismatch(&["a", "b", "c", "d", "e"], &["e", "e", "x"]).unwrap(),
            "expected 5, found 3: 4 missing (`a`, `b`, `c`, ...), 1 unexpected (`x`), 1 listed more than once"
        );
    }

    #[test]
    fn a_path_in_another_scope_is_found() {
        let path = |text: &str| text.parse::<CredentialPath>().unwrap();
        let (stored, listed) = ([path("org:a/key"), path("b")], [path("b"), path("key")]);
        assert_eq!(moved(&stored, &listed), Some((&path("org:a/key"), &path("key"))));
        assert_eq!(moved(&stored, &stored), None);
        assert_eq!(moved(&stored, &[path("b"), path("other")]), None);
        // The same id in two scopes, one of them unexpected: no path has moved.
        assert_eq!(moved(&[path("key")], &[path("key"), path("org:a/key")]), None);
    }
}
