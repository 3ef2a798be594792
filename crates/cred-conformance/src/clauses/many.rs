//! many-1 to many-3.

use cred_core::{CredentialId, CredentialPath, Operation, ScopeId, Sealed, StorageErrorKind};

use super::error::check_error_context;
use crate::trial::Trial;
use crate::value::{id, path, scope, value};
use crate::wording::short;

const IN_ORDER: &str = "return one result for each id, in the order of the ids: look up each id in the backend's response, \
                        never rely on the backend's order";

/// The results must be those of single reads: the value if one is stored, else NotFound that names
/// the path. A missing path is reported as a violation of error-1.
async fn has_results(
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
        return Some(format!("{} ids gave {} results", ids.len(), actual.len()));
    }
    for (position, ((id, expected), actual)) in ids.iter().zip(expected).zip(actual).enumerate() {
        let problem = match (expected, actual) {
            (Some(expected), Ok(actual)) if expected == actual => None,
            (Some(_), Ok(_)) => Some("is another value".to_owned()),
            (Some(_), Err(error)) => Some(format!("is an error: {error}")),
            (None, Ok(_)) => Some("is a value, but the credential is absent".to_owned()),
            (None, Err(error)) if *error.kind() != StorageErrorKind::NotFound => {
                Some(format!("is another error than NotFound: {error}"))
            }
            (None, Err(error)) => {
                let path = CredentialPath::new(here.cloned(), id.clone());
                check_error_context(t, error, &[Operation::Retrieve, Operation::RetrieveMany], &path);
                None
            }
        };
        if let Some(problem) = problem {
            return Some(format!("result {position}, for `{}`, {problem}", short(id)));
        }
    }
    None
}

pub(super) async fn many_1_results_are_in_the_order_of_the_ids(t: Trial) {
    let here = scope("org:a");
    let entries: Vec<_> = (0..9_u64).map(|n| (path(&format!("org:a/key-{n}")), value(n))).collect();
    t.put_all(entries).await;
    let order = [5, 0, 8, 3, 1, 7, 2, 6, 4];
    let ids: Vec<_> = order.iter().map(|n| id(&format!("key-{n}"))).collect();
    let expected: Vec<_> = order.iter().map(|n| Some(value(*n))).collect();
    has_results(&t, Some(&here), &ids, &expected, IN_ORDER).await;
}

pub(super) async fn many_1_no_ids_give_no_results(t: Trial) {
    t.put(&path("org:a/key"), &value(1)).await;
    for here in [None, Some(scope("org:a")), Some(scope("org:never"))] {
        has_results(
            &t,
            here.as_ref(),
            &[],
            &[],
            "return no results for no ids; many APIs treat an empty request as `all`",
        )
        .await;
    }
}

pub(super) async fn many_1_more_than_one_batch_of_ids_is_answered(t: Trial) {
    let here = scope("org:a");
    let count = (2 * t.description.batch.get() + 1).clamp(21, 500);
    let entries: Vec<_> = (0..count).map(|n| (path(&format!("org:a/key-{n}")), value(n as u64))).collect();
    t.put_all(entries.clone()).await;
    // Absent ids are mixed in: a missing result must not shift those that follow.
    let mut ids: Vec<_> = entries.iter().map(|(path, _)| path.id.clone()).collect();
    let mut expected: Vec<_> = entries.into_iter().map(|(_, value)| Some(value)).collect();
    for position in (0..count).step_by(7) {
        ids.insert(position, id(&format!("absent-{position}")));
        expected.insert(position, None);
    }
    has_results(&t, Some(&here), &ids, &expected, "split the ids into batches, and merge the results by id")
        .await;
}

pub(super) async fn many_2_a_duplicate_id_is_answered_twice(t: Trial) {
    let here = scope("org:a");
    t.put(&path("org:a/x"), &value(1)).await;
    t.put(&path("org:a/y"), &value(2)).await;
    let ids = ["x", "y", "x", "x", "gone", "y", "gone"].map(id);
    let (x, y) = (Some(value(1)), Some(value(2)));
    let expected = [x.clone(), y.clone(), x.clone(), x, None, y, None];
    has_results(
        &t,
        Some(&here),
        &ids,
        &expected,
        "remove duplicates from the request, and return a result for each of them",
    )
    .await;
}

pub(super) async fn many_3_a_missing_credential_fails_only_its_own_result(t: Trial) {
    let here = scope("org:a");
    t.put(&path("org:a/x"), &value(1)).await;
    t.put(&path("org:a/y"), &value(2)).await;
    t.put(&path("missing"), &value(3)).await;
    t.put(&path("org:a/team:x/missing"), &value(4)).await;
    let advice = "return NotFound for the absent id alone, and read only the scope of the context";
    has_results(&t, Some(&here), &["missing", "x"].map(id), &[None, Some(value(1))], advice).await;
    has_results(
        &t,
        Some(&here),
        &["x", "missing", "y"].map(id),
        &[Some(value(1)), None, Some(value(2))],
        advice,
    )
    .await;
    has_results(&t, Some(&here), &["missing", "lost"].map(id), &[None, None], advice).await;
    has_results(&t, Some(&scope("org:never")), &["x"].map(id), &[None], advice).await;
    has_results(&t, None, &["x", "missing"].map(id), &[None, Some(value(3))], advice).await;
}
