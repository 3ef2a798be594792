//! Writes whose responses are lost while other writers write.

use cred_core::{Revision, Sealed, StorageError, StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig, VaultDeleteMode};
use cred_testing::http::Answer;
use cred_testing::value::{id, unscoped, value};

use crate::TOKEN;
use crate::script::{Script, denied, respond};

const ABSENT: &str = r#"{"errors":[]}"#;
const DELETED: &str = r#"{"data":{"data":null,"metadata":{"version":3,"destroyed":false}}}"#;

/// A version of another writer.
fn version(number: u64) -> String {
    format!(
        r#"{{"data":{{"data":{{"envelope":"another"}},"metadata":{{"version":{number},"created_time":"t"}}}}}}"#
    )
}

fn provider(config: VaultConfig, mode: VaultDeleteMode) -> HashiCorpVaultProvider {
    let method = VaultAuthMethod::token(TOKEN.into());
    HashiCorpVaultProvider::new(config.with_auth_method(method).with_delete_mode(mode)).unwrap()
}

/// Runs a conditional store whose first attempt gets no response and whose second meets another
/// version, after which reads return `found`. Returns its error and the number of attempts.
async fn store_after_lost_response(
    mode: VaultDeleteMode,
    expected: Option<u64>,
    found: (u16, String),
) -> (StorageError, usize) {
    let first_reads = usize::from(expected.is_some());
    let expected = expected.map(|number| (number, Revision::new(format!("{number}@t"))));
    let before = version(expected.as_ref().map_or(0, |(number, _)| *number));
    let server = Script::start(move |asked, times| match asked.split_once(' ') {
        Some(("POST", _)) if times == 0 => Answer::lost(),
        Some(("POST", _)) => {
            respond(400, r#"{"errors":["check-and-set parameter did not match the current version"]}"#)
        }
        Some(("GET", path)) if path.ends_with("/key") && times < first_reads => respond(200, &before),
        Some(("GET", path)) if path.ends_with("/key") => respond(found.0, &found.1),
        _ => denied(),
    })
    .await;
    let provider = provider(server.config(), mode);
    let Sealed { data, metadata } = value(1);
    let expected = expected.as_ref().map(|(_, revision)| revision);
    let cas = provider.compare_and_set().unwrap();
    let stored = cas.store_if(&id("key"), data, metadata, expected, &unscoped()).await;
    (stored.unwrap_err(), server.asked("POST", "/key"))
}

fn has_unknown_outcome(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::InDoubt { .. }) && error.may_have_written()
}

fn is_conflict(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Conflict { .. }) && !error.may_have_written()
}

#[tokio::test]
async fn the_outcome_is_unknown_if_a_later_version_may_have_replaced_this_write() {
    for mode in [VaultDeleteMode::Metadata, VaultDeleteMode::Soft] {
        let (error, _) = store_after_lost_response(mode, Some(1), (200, version(3))).await;
        assert!(has_unknown_outcome(&error), "{mode:?}: {error:?}");
        let (error, _) = store_after_lost_response(mode, None, (200, version(2))).await;
        assert!(has_unknown_outcome(&error), "{mode:?}: {error:?}");
    }
}

#[tokio::test]
async fn with_soft_deletion_another_writers_version_under_the_expected_number_is_a_conflict() {
    for (expected, found) in [(Some(1), 2), (None, 1)] {
        let (error, _) =
            store_after_lost_response(VaultDeleteMode::Soft, expected, (200, version(found))).await;
        assert!(is_conflict(&error), "{error:?}");
        // After a permanent deletion, an attempt in progress may still succeed.
        let (error, _) =
            store_after_lost_response(VaultDeleteMode::Metadata, expected, (200, version(found))).await;
        assert!(has_unknown_outcome(&error), "{error:?}");
    }
}

#[tokio::test]
async fn the_outcome_is_unknown_if_the_written_version_may_be_deleted_and_it_is_not_restored() {
    for (mode, found) in [
        (VaultDeleteMode::Metadata, (404, ABSENT.to_owned())),
        (VaultDeleteMode::Soft, (404, DELETED.to_owned())),
    ] {
        for expected in [Some(1), None] {
            let (error, attempts) = store_after_lost_response(mode, expected, found.clone()).await;
            assert!(has_unknown_outcome(&error), "{mode:?}: {error:?}");
            assert_eq!(attempts, 2, "the lost attempt and the one that met another version");
        }
    }
}

#[tokio::test]
async fn a_purge_keeps_a_version_that_was_recovered_after_its_read() {
    let server = Script::start(|asked, _| match asked {
        "GET /v1/secret/data/nebula/credentials/key" => respond(404, DELETED),
        "GET /v1/secret/metadata/nebula/credentials/key" => respond(
            200,
            r#"{"data":{"current_version":3,"versions":{"3":{"deletion_time":"","destroyed":false}}}}"#,
        ),
        _ => denied(),
    })
    .await;
    let provider = provider(server.config(), VaultDeleteMode::Soft);
    let purged = provider.soft_delete().unwrap().purge(&id("key"), &unscoped()).await;
    assert!(purged.is_ok(), "a version that is not deleted is kept: {purged:?}");
    assert_eq!(server.asked("P", "/key"), 0, "nothing was destroyed");
}
