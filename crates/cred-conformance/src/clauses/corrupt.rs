//! error-3, and the rules of other operations for a credential whose bytes are corrupted.

use cred_core::{CredentialFilter, CredentialPath, Operation, StorageErrorKind};

use super::error::{check_error_context, expect_error};
use crate::harness::Edit;
use crate::leak::leak;
use crate::rule::fail;
use crate::trial::Trial;
use crate::value::{id, path, scope, value};

const STRICT: &str = "decode strictly (accept only the output of your encoder, check that nothing follows) and return \
                      Corrupted with the path";
const BY_NAME: &str = "use the name alone, without reading the contents";

async fn edit(t: &Trial, target: &CredentialPath, edit: Edit<'_>) {
    if !t.harness.edit_raw(target, edit).await {
        fail(
            "offers: `raw_edit` is declared, but `Harness::edit_raw` returns false",
            "implement it, or remove the word from `offers`",
        );
    }
}

fn garbage(_: Vec<u8>) -> Vec<u8> {
    b"\xff\xfe not what was stored \x00".to_vec()
}

async fn stored(t: &Trial, name: &str) -> CredentialPath {
    let target = path(name);
    t.put_and_check(&target, &value(1)).await;
    target
}

async fn broken(t: &Trial, name: &str) -> CredentialPath {
    let target = stored(t, name).await;
    edit(t, &target, &garbage).await;
    t.wait_until_visible().await;
    target
}

pub(super) async fn error_3_broken_bytes_are_reported_as_corrupted_with_the_path(t: Trial) {
    let edits: [(&str, Edit<'_>); 9] = [
        ("emptied", &|_| Vec::new()),
        ("cut in half", &|bytes| bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec()),
        ("stripped of the last byte", &|bytes| {
            bytes.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default()
        }),
        ("stripped of the first byte", &|bytes| bytes.get(1..).unwrap_or_default().to_vec()),
        ("doubled", &|bytes| bytes.repeat(2)),
        ("followed by other bytes", &|mut bytes| {
            bytes.extend_from_slice(b"{}");
            bytes
        }),
        ("zeroed", &|bytes| vec![0; bytes.len()]),
        ("replaced by an error page", &|_| b"<html><body>502 Bad Gateway</body></html>".to_vec()),
        ("replaced by garbage", &garbage),
    ];
    let spellings = [b"null".as_slice(), b"{}", b"[]", b"\"\"", b"0"];
    for (index, (how, how_to)) in edits.into_iter().enumerate() {
        let target = stored(&t, &format!("org:a/broken-{index}")).await;
        edit(&t, &target, how_to).await;
        is_reported_corrupted(&t, &target, how).await;
    }
    for (index, spelling) in spellings.into_iter().enumerate() {
        let target = stored(&t, &format!("org:a/empty-{index}")).await;
        edit(&t, &target, &|_| spelling.to_vec()).await;
        is_reported_corrupted(&t, &target, "replaced by an empty JSON value").await;
    }
}

async fn is_reported_corrupted(t: &Trial, target: &CredentialPath, how: &str) {
    t.wait_until_visible().await;
    match t.retrieve(target).await {
        Ok(_) => fail(&format!("error-3: bytes that were {how} are read as a credential"), STRICT),
        Err(error) if error.is_corrupted() => check_error_context(t, &error, &[Operation::Retrieve], target),
        Err(error) => {
            fail(&format!("error-3: bytes that were {how} fail with another error: {error}"), STRICT)
        }
    }
}

/// A bit flip inside a ciphertext is detected only when the ciphertext is opened. So the read may
/// succeed here, but it must not fail with another error than Corrupted.
pub(super) async fn error_3_a_flipped_bit_fails_only_as_corrupted(t: Trial) {
    let target = stored(&t, "org:a/flipped").await;
    for step in 0..t.effort.rounds.max(16) {
        t.put(&target, &value(1)).await;
        edit(&t, &target, &|mut bytes| {
            // A stride that is co-prime to the usual lengths reaches all bytes and bits.
            let position = (step * 97).checked_rem(bytes.len()).unwrap_or_default();
            if let Some(byte) = bytes.get_mut(position) {
                *byte ^= 1 << (step % 8);
            }
            bytes
        })
        .await;
        match t.retrieve(&target).await {
            Ok(_) => {}
            Err(error) if error.is_corrupted() => {
                check_error_context(&t, &error, &[Operation::Retrieve], &target)
            }
            Err(error) => fail(&format!("error-3: a flipped bit causes another error: {error}"), STRICT),
        }
    }
}

pub(super) async fn error_3_no_error_prints_the_broken_bytes(t: Trial) {
    const CANARY: &[u8] = b"raw-canary-90b1f4e6aa";
    let target = stored(&t, "org:a/broken").await;
    edit(&t, &target, &|_| CANARY.repeat(3)).await;
    t.wait_until_visible().await;
    let error = expect_error(t.retrieve(&target).await, "a read of broken bytes");
    let mut text = format!("{error} {error:?}");
    if let Some(cause) = std::error::Error::source(&error) {
        text.push_str(&format!("{cause} {cause:?}"));
    }
    if let Some(how) = leak(&text, CANARY) {
        fail(
            &format!("error-3: the error prints the broken bytes {how}"),
            "report the kind and the position of the problem without the parser's own message, which quotes its input",
        );
    }
}

pub(super) async fn error_3_a_corrupted_credential_can_be_overwritten(t: Trial) {
    let target = broken(&t, "org:a/broken").await;
    t.put(&target, &value(2)).await;
    t.holds(&target, &value(2), "a store must not need to read the value that it replaces").await;
}

pub(super) async fn delete_4_a_corrupted_credential_can_be_deleted(t: Trial) {
    let target = broken(&t, "org:a/broken").await;
    t.remove(&target).await;
    t.lacks(&target, "delete by name, without reading the contents").await;
    t.lists(target.scope.as_ref(), None, &[], "delete by name, without reading the contents").await;
}

pub(super) async fn exists_3_a_corrupted_credential_exists(t: Trial) {
    let target = broken(&t, "org:a/broken").await;
    match t.exists(&target).await {
        Ok(true) => {}
        Ok(false) => fail("exists-3: exists of a corrupted credential returns false", BY_NAME),
        Err(error) => fail(&format!("exists-3: exists of a corrupted credential fails: {error}"), BY_NAME),
    }
}

pub(super) async fn list_5_a_corrupted_credential_is_listed_by_name(t: Trial) {
    let (good, bad) = (stored(&t, "org:a/good").await, broken(&t, "org:a/bad").await);
    let ids = [good.id.clone(), bad.id.clone()];
    t.lists(Some(&scope("org:a")), None, &ids, BY_NAME).await;
    t.lists(
        Some(&scope("org:a")),
        Some(&CredentialFilter::new()),
        &ids,
        "an empty filter must not read the contents",
    )
    .await;
}

pub(super) async fn list_5_a_filtered_list_fails_on_a_corrupted_credential_and_names_it(t: Trial) {
    stored(&t, "org:a/good").await;
    let bad = broken(&t, "org:a/bad").await;
    stored(&t, "org:a/well").await;
    let filter = CredentialFilter::new().with_tag("number", "1");
    let mut patience = t.patience_for_list();
    loop {
        let answers = [
            ("list", t.list(Some(&scope("org:a")), Some(&filter)).await.err()),
            ("list_tree", t.list_tree(None, Some(&filter)).await.err()),
        ];
        let mut skipped = None;
        for (what, error) in answers {
            match error {
                Some(error) if error.is_corrupted() => {
                    check_error_context(
                        &t,
                        &error,
                        &[Operation::List, Operation::ListTree, Operation::Retrieve],
                        &bad,
                    );
                }
                Some(error) => fail(&format!("list-5: {what} fails with another error: {error}"), STRICT),
                None => skipped = Some(what),
            }
        }
        let Some(what) = skipped else { return };
        patience
            .or_fail(
                &format!("list-5: a filtered {what} skips a corrupted credential"),
                "it is unknown whether the credential matches: fail with Corrupted and its path",
            )
            .await;
    }
}

pub(super) async fn tree_4_a_corrupted_credential_is_listed_in_the_tree_by_name(t: Trial) {
    let (good, bad) = (stored(&t, "org:a/team:x/good").await, broken(&t, "org:a/bad").await);
    t.has_tree(Some(&scope("org:a")), None, &[good.clone(), bad.clone()], BY_NAME).await;
    t.has_tree(None, None, &[good, bad], BY_NAME).await;
}

pub(super) async fn many_3_a_corrupted_credential_fails_only_its_own_result(t: Trial) {
    stored(&t, "org:a/x").await;
    let bad = broken(&t, "org:a/bad").await;
    stored(&t, "org:a/y").await;
    let answers = t.retrieve_many(bad.scope.as_ref(), &["x", "bad", "y"].map(id)).await;
    match answers.as_slice() {
        [Ok(x), Err(error), Ok(y)] if error.is_corrupted() && *x == value(1) && *y == value(1) => {
            check_error_context(&t, error, &[Operation::Retrieve, Operation::RetrieveMany], &bad);
        }
        _ => fail(
            "many-3: with one corrupted credential among three, the results are not two values and one Corrupted",
            "decode each value separately, and return Corrupted only in the slot of the corrupted one",
        ),
    }
}

pub(super) async fn cas_1_broken_bytes_are_reported_as_corrupted(t: Trial) {
    let target = broken(&t, "org:a/broken").await;
    let error = expect_error(t.retrieve_versioned(&target).await, "a read of broken bytes");
    match error.kind() {
        StorageErrorKind::Corrupted { .. } => {
            check_error_context(&t, &error, &[Operation::RetrieveVersioned], &target)
        }
        _ => fail(&format!("cas-1: broken bytes fail with another error: {error}"), STRICT),
    }
}
