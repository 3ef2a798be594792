//! scope-1 and scope-2: a credential belongs to one scope, and operations in other scopes neither
//! see nor change it.

use crate::trial::Trial;
use crate::value::{path, scope, value};

const FROM_SCOPE: &str =
    "build the physical name from the scope and the id, and take the scope from `ctx.scope_id` alone";
const EXACT_SCOPE: &str = "look only in exactly the scope of the context: no inheritance, no prefix match";

const HOME: &str = "org:a/team:x";
/// Scopes that are easily confused with [`HOME`]; `""` stands for no scope.
const NEIGHBOURS: [&str; 12] = [
    "",
    "org:a",
    "org:a/team:x/role:r",
    "org:a/team:y",
    "org:b/team:x",
    "org:a/team:xx",
    "org:a/team:x-",
    "org:aa/team:x",
    "team:x",
    "team:x/org:a",
    "org:a-team.x",
    "org:a_team_x",
];

fn at(scope: &str, id: &str) -> cred_core::CredentialPath {
    match scope {
        "" => path(id),
        scope => path(&format!("{scope}/{id}")),
    }
}

pub(super) async fn scope_1_the_same_id_in_two_scopes_is_two_credentials(t: Trial) {
    let targets = [path("key"), path("org:a/key"), path("org:b/key"), path("org:a/team:x/key")];
    let entries: Vec<_> = targets.into_iter().zip((1..).map(value)).collect();
    t.put_all(entries.clone()).await;
    t.all_hold(&entries, FROM_SCOPE).await;
}

pub(super) async fn scope_1_scoped_and_unscoped_credentials_are_separate(t: Trial) {
    let (unscoped, scoped) = (path("key"), path("org:a/key"));
    t.put(&unscoped, &value(1)).await;
    t.lacks(&scoped, EXACT_SCOPE).await;
    t.remove(&unscoped).await;
    t.put(&scoped, &value(2)).await;
    t.lacks(&unscoped, EXACT_SCOPE).await;
    t.holds(&scoped, &value(2), FROM_SCOPE).await;
}

pub(super) async fn scope_2_a_read_never_returns_a_credential_of_another_scope(t: Trial) {
    t.put(&at(HOME, "key"), &value(1)).await;
    t.holds(&at(HOME, "key"), &value(1), FROM_SCOPE).await;
    for neighbour in NEIGHBOURS {
        t.lacks(&at(neighbour, "key"), EXACT_SCOPE).await;
    }
}

pub(super) async fn scope_2_a_list_never_returns_a_credential_of_another_scope(t: Trial) {
    let mut entries = vec![(at(HOME, "home"), value(0))];
    for (neighbour, number) in NEIGHBOURS.into_iter().zip(1..) {
        entries.push((at(neighbour, &format!("of-{number}")), value(number)));
    }
    t.put_all(entries.clone()).await;
    for (path, _) in &entries {
        t.lists_only(path, EXACT_SCOPE).await;
    }
}

pub(super) async fn scope_2_a_store_changes_no_other_scope(t: Trial) {
    let entries: Vec<_> =
        NEIGHBOURS.into_iter().map(|scope| at(scope, "key")).zip((1..).map(value)).collect();
    t.put_all(entries.clone()).await;
    t.all_hold(&entries, FROM_SCOPE).await;
    for number in 100..103 {
        t.put(&at(HOME, "key"), &value(number)).await;
    }
    t.all_hold(&entries, FROM_SCOPE).await;
    for (path, _) in &entries {
        t.lists_only(path, EXACT_SCOPE).await;
    }
}

pub(super) async fn scope_2_a_delete_changes_no_other_scope(t: Trial) {
    let mut entries: Vec<_> =
        NEIGHBOURS.into_iter().map(|scope| at(scope, "key")).zip((1..).map(value)).collect();
    t.put_all(entries.clone()).await;
    t.put(&at(HOME, "key"), &value(100)).await;
    t.remove(&at(HOME, "key")).await;
    t.lacks(&at(HOME, "key"), "delete must remove the credential of the context's scope").await;
    t.all_hold(&entries, EXACT_SCOPE).await;

    // A delete in a parent scope leaves the child scopes, even if the parent is then empty.
    entries.retain(|(path, _)| path.scope != Some(scope("org:a")));
    t.remove(&at("org:a", "key")).await;
    t.lacks(&at("org:a", "key"), "delete must remove the credential of the context's scope").await;
    t.all_hold(&entries, EXACT_SCOPE).await;
}
