//! tree-1 to tree-4.

use cred_core::{CredentialFilter, CredentialPath, Timestamp};

use crate::trial::Trial;
use crate::value::{EPOCH_MS, path, scope, tagged, value};

const TREE: &str = "\
    key org-a org:a/key org:a/other org:a/team:x/key org:a/team:x/role:r/key org:a/team:xy/key \
    org:a/team:y/key org:ab/key org:ab/team:x/key org:a-b/key org:A/key orga:b/key";
const BOUNDARY: &str = "a scope contains another only at a `/` boundary: use `ScopeId::contains`";

fn below(prefixes: &[&str]) -> Vec<CredentialPath> {
    TREE.split_whitespace()
        .filter(|text| prefixes.iter().any(|prefix| text.starts_with(prefix)))
        .map(path)
        .collect()
}

async fn store_tree(t: &Trial) {
    t.put_all(TREE.split_whitespace().map(path).zip((1..).map(value)).collect()).await;
}

pub(super) async fn tree_1_each_path_is_listed_once_and_unchanged(t: Trial) {
    let odd = "\
        K k _- org:a/K org:a/k org:a/k-_ Org:A.b/team:-._/KEY org:.x/k org:a.json/k ..:x/k \
        org:...../k a:b/c:d/e:f/g:h/i:j/k";
    let long =
        [format!("org:{}/{}", "S".repeat(508), "i".repeat(255)), format!("{}/k", ["l:v"; 128].join("/"))];
    let paths: Vec<_> = odd.split_whitespace().map(path).chain(long.iter().map(|text| path(text))).collect();
    for _ in 0..2 {
        t.put_all(paths.iter().cloned().zip((1..).map(value)).collect()).await;
    }
    t.has_tree(None, None, &paths, "return exactly the scope and the id that were stored, each path once")
        .await;
}

pub(super) async fn tree_2_a_scope_contains_others_only_at_a_slash_boundary(t: Trial) {
    store_tree(&t).await;
    let a = ["org:a/"];
    t.has_tree(Some(&scope("org:a")), None, &below(&a), BOUNDARY).await;
    t.has_tree(Some(&scope("org:ab")), None, &below(&["org:ab/"]), BOUNDARY).await;
    t.has_tree(Some(&scope("org:a/team:x")), None, &below(&["org:a/team:x/"]), BOUNDARY).await;
    t.has_tree(Some(&scope("org:a/team:x/role:r")), None, &below(&["org:a/team:x/role:r/"]), BOUNDARY).await;
    t.has_tree(Some(&scope("org:a/team:z")), None, &[], BOUNDARY).await;
    t.has_tree(Some(&scope("team:x")), None, &[], BOUNDARY).await;
}

pub(super) async fn tree_3_without_a_scope_the_tree_lists_everything(t: Trial) {
    store_tree(&t).await;
    t.has_tree(
        None,
        None,
        &below(&[""]),
        "without a scope, return the credentials of every scope and those without one",
    )
    .await;
    t.remove(&path("org:a/team:x/role:r/key")).await;
    let rest: Vec<_> =
        below(&[""]).into_iter().filter(|target| *target != path("org:a/team:x/role:r/key")).collect();
    t.has_tree(None, None, &rest, "a deleted credential must not be in the tree").await;
}

pub(super) async fn tree_4_a_long_tree_is_complete(t: Trial) {
    let entries: Vec<_> = (0..t.effort.list_entries)
        .map(|n| {
            let target = match n % 3 {
                0 => format!("org:many/key-{n}"),
                1 => format!("org:many/team:{}/key-{n}", n % 50),
                _ => format!("org:many/team:{}/role:{n}/key", n % 50),
            };
            (path(&target), tagged(n as u64, &[("third", &(n % 3).to_string())]))
        })
        .collect();
    let paths: Vec<_> = entries.iter().map(|(target, _)| target.clone()).collect();
    t.put_all(entries).await;
    let advice = "walk every level and every page to the end, and fail if one cannot be read";
    t.has_tree(None, None, &paths, advice).await;
    t.has_tree(Some(&scope("org:many")), None, &paths, advice).await;
    let second: Vec<_> = paths.iter().skip(1).step_by(3).cloned().collect();
    let filter = CredentialFilter::new().with_tag("third", "1");
    t.has_tree(Some(&scope("org:many")), Some(&filter), &second, advice).await;
}

pub(super) async fn tree_4_filters_work_as_in_list(t: Trial) {
    let entries = [
        ("key", "prod", 1),
        ("org:a/key", "prod", 2),
        ("org:a/test", "test", 3),
        ("org:a/team:x/key", "prod", 4),
        ("org:b/key", "prod", 5),
    ];
    let stored = |(target, env, number): (&str, &str, u64)| {
        (path(target), tagged(number, &[("env", env), ("x", "y")]))
    };
    t.put_all(entries.map(stored).into()).await;
    let advice = "filter by the stored metadata with `CredentialFilter::matches`, in trees as in lists";
    let prod = CredentialFilter::new().with_tag("env", "prod");
    let some = |names: &[&str]| names.iter().map(|name| path(name)).collect::<Vec<_>>();
    let (a, root) = (Some(scope("org:a")), None);
    t.has_tree(a.as_ref(), Some(&prod), &some(&["org:a/key", "org:a/team:x/key"]), advice).await;
    t.has_tree(root, Some(&prod.clone().with_tag("x", "z")), &[], advice).await;
    let late = prod.with_created_after(Timestamp::from_unix_millis(EPOCH_MS + 2));
    t.has_tree(root, Some(&late), &some(&["org:a/team:x/key", "org:b/key"]), advice).await;
    let between = CredentialFilter::new()
        .with_created_after(Timestamp::from_unix_millis(EPOCH_MS + 1))
        .with_created_before(Timestamp::from_unix_millis(EPOCH_MS + 4));
    t.has_tree(root, Some(&between), &some(&["org:a/key", "org:a/test"]), advice).await;
}
