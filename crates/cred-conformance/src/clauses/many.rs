//! many-1 to many-3.

use cred_core::{CredentialId, CredentialPath, Operation, ScopeId, Sealed, StorageErrorKind};

use super::error::says_where;
use crate::trial::Trial;
use crate::value::{id, path, scope, value};
use crate::wording::short;

const IN_ORDER: &str = "give one answer for each id, in the order of the ids: look each up in what the backend gave, \
                        never count on the backend's order";

/// The answers are those of single reads: the value where there is one, else NotFound that names
/// the path (a clause on errors besides, which is told as such).
async fn answers(
    t: &Trial,
    here: Option<&ScopeId>,
    ids: &[CredentialId],
    expected: &[Option<Sealed>],
    advice: &str,
) {
    let mut patience = t.patience_for_point();
    loop {
        let actual = t.retrieve_many(here, ids).await;
        let Some(problem) = difference(t, here, ids, expected, &actual) else { return };
        patience.or_fail(&problem, advice).await;
    }
}

fn difference(
    t: &Trial,
    here: Option<&ScopeId>,
    ids: &[CredentialId],
    expected: &[Option<Sealed>],
    actual: &[Result<Sealed, cred_core::StorageError>],
) -> Option<String> {
    if actual.len() != ids.len() {
        return Some(format!("{} ids got {} answers", ids.len(), actual.len()));
    }
    for (position, ((id, expected), actual)) in ids.iter().zip(expected).zip(actual).enumerate() {
        let problem = match (expected, actual) {
            (Some(expected), Ok(actual)) if expected == actual => None,
            (Some(_), Ok(_)) => Some("gives another value".to_owned()),
            (Some(_), Err(error)) => Some(format!("fails: {error}")),
            (None, Ok(_)) => Some("is absent and gives a value".to_owned()),
            (None, Err(error)) if *error.kind() != StorageErrorKind::NotFound => {
                Some(format!("is absent and gives another error: {error}"))
            }
            (None, Err(error)) => {
                let path = CredentialPath::new(here.cloned(), id.clone());
                says_where(t, error, &[Operation::Retrieve, Operation::RetrieveMany], &path);
                None
            }
        };
        if let Some(problem) = problem {
            return Some(format!("answer {position}, of `{}`, {problem}", short(id)));
        }
    }
    None
}

pub(super) async fn many_1_it_gives_the_answers_in_the_order_of_the_ids(t: Trial) {
    let here = scope("org:a");
    let entries: Vec<_> = (0..9_u64).map(|n| (path(&format!("org:a/key-{n}")), value(n))).collect();
    t.put_all(entries).await;
    let order = [5, 0, 8, 3, 1, 7, 2, 6, 4];
    let ids: Vec<_> = order.iter().map(|n| id(&format!("key-{n}"))).collect();
    let expected: Vec<_> = order.iter().map(|n| Some(value(*n))).collect();
    answers(&t, Some(&here), &ids, &expected, IN_ORDER).await;
}

pub(super) async fn many_1_no_ids_get_no_answers(t: Trial) {
    t.put(&path("org:a/key"), &value(1)).await;
    for here in [None, Some(scope("org:a")), Some(scope("org:never"))] {
        answers(
            &t,
            here.as_ref(),
            &[],
            &[],
            "answer nothing for nothing; many APIs take an empty request for `all`",
        )
        .await;
    }
}

pub(super) async fn many_1_it_answers_more_than_one_batch(t: Trial) {
    let here = scope("org:a");
    let count = (2 * t.description.batch.get() + 1).clamp(21, 500);
    let entries: Vec<_> = (0..count).map(|n| (path(&format!("org:a/key-{n}")), value(n as u64))).collect();
    t.put_all(entries.clone()).await;
    // The last of each batch is absent: an answer less must not shift those that follow.
    let mut ids: Vec<_> = entries.iter().map(|(path, _)| path.id.clone()).collect();
    let mut expected: Vec<_> = entries.into_iter().map(|(_, value)| Some(value)).collect();
    for position in (0..count).step_by(7) {
        ids.insert(position, id(&format!("absent-{position}")));
        expected.insert(position, None);
    }
    answers(&t, Some(&here), &ids, &expected, "cut the ids into batches, and put the answers together by id")
        .await;
}

pub(super) async fn many_2_an_id_that_is_given_twice_is_answered_twice(t: Trial) {
    let here = scope("org:a");
    t.put(&path("org:a/x"), &value(1)).await;
    t.put(&path("org:a/y"), &value(2)).await;
    let ids = ["x", "y", "x", "x", "gone", "y", "gone"].map(id);
    let (x, y) = (Some(value(1)), Some(value(2)));
    let expected = [x.clone(), y.clone(), x.clone(), x, None, y, None];
    answers(&t, Some(&here), &ids, &expected, "remove duplicates before you ask, and answer each of them")
        .await;
}

pub(super) async fn many_3_one_that_is_missing_fails_alone(t: Trial) {
    let here = scope("org:a");
    t.put(&path("org:a/x"), &value(1)).await;
    t.put(&path("org:a/y"), &value(2)).await;
    t.put(&path("missing"), &value(3)).await;
    t.put(&path("org:a/team:x/missing"), &value(4)).await;
    let advice =
        "one absent id is one NotFound that names it; the others are answered, and other scopes not asked";
    answers(&t, Some(&here), &["missing", "x"].map(id), &[None, Some(value(1))], advice).await;
    answers(&t, Some(&here), &["x", "missing", "y"].map(id), &[Some(value(1)), None, Some(value(2))], advice)
        .await;
    answers(&t, Some(&here), &["missing", "lost"].map(id), &[None, None], advice).await;
    answers(&t, Some(&scope("org:never")), &["x"].map(id), &[None], advice).await;
    answers(&t, None, &["x", "missing"].map(id), &[None, Some(value(3))], advice).await;
}
