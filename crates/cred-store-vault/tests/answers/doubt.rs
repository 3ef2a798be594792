//! Writes whose answers are lost, and others who write meanwhile.

use cred_core::{Revision, Sealed, StorageError, StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig, VaultDeleteMode};
use cred_testing::http::Answer;
use cred_testing::value::{id, unscoped, value};

use crate::TOKEN;
use crate::script::{Script, denied, said};

const ABSENT: &str = r#"{"errors":[]}"#;
const DELETED: &str = r#"{"data":{"data":null,"metadata":{"version":3,"destroyed":false}}}"#;

/// Somebody else's value.
fn version(number: u64) -> String {
    format!(
        r#"{{"data":{{"data":{{"envelope":"another"}},"metadata":{{"version":{number},"created_time":"t"}}}}}}"#
    )
}

fn provider(config: VaultConfig, mode: VaultDeleteMode) -> HashiCorpVaultProvider {
    let method = VaultAuthMethod::token(TOKEN.into());
    HashiCorpVaultProvider::new(config.with_auth_method(method).with_delete_mode(mode)).unwrap()
}

/// A conditional store whose first attempt gets no answer and whose second meets another version;
/// `found` is there then. Gives what it ends with, and how many attempts of it were made.
async fn swapped(
    mode: VaultDeleteMode,
    expected: Option<u64>,
    found: (u16, String),
) -> (StorageError, usize) {
    let looks_first = usize::from(expected.is_some());
    let expected = expected.map(|number| (number, Revision::new(format!("{number}@t"))));
    let before = version(expected.as_ref().map_or(0, |(number, _)| *number));
    let server = Script::start(move |asked, times| match asked.split_once(' ') {
        Some(("POST", _)) if times == 0 => Answer::lost(),
        Some(("POST", _)) => {
            said(400, r#"{"errors":["check-and-set parameter did not match the current version"]}"#)
        }
        Some(("GET", path)) if path.ends_with("/key") && times < looks_first => said(200, &before),
        Some(("GET", path)) if path.ends_with("/key") => said(found.0, &found.1),
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

fn is_in_doubt(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::InDoubt { .. }) && error.may_have_written()
}

fn is_conflict(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Conflict { .. }) && !error.may_have_written()
}

#[tokio::test]
async fn a_later_version_may_stand_over_ours_so_the_store_is_in_doubt() {
    for mode in [VaultDeleteMode::Metadata, VaultDeleteMode::Soft] {
        let (error, _) = swapped(mode, Some(1), (200, version(3))).await;
        assert!(is_in_doubt(&error), "{mode:?}: {error:?}");
        let (error, _) = swapped(mode, None, (200, version(2))).await;
        assert!(is_in_doubt(&error), "{mode:?}: {error:?}");
    }
}

#[tokio::test]
async fn somebody_elses_version_in_the_place_of_ours_is_a_conflict_where_numbers_never_begin_anew() {
    for (expected, found) in [(Some(1), 2), (None, 1)] {
        let (error, _) = swapped(VaultDeleteMode::Soft, expected, (200, version(found))).await;
        assert!(is_conflict(&error), "{error:?}");
        // Deleted for good, the name takes an attempt that is still under way.
        let (error, _) = swapped(VaultDeleteMode::Metadata, expected, (200, version(found))).await;
        assert!(is_in_doubt(&error), "{error:?}");
    }
}

#[tokio::test]
async fn what_may_have_been_ours_and_is_deleted_is_in_doubt_and_not_brought_back() {
    for (mode, found) in [
        (VaultDeleteMode::Metadata, (404, ABSENT.to_owned())),
        (VaultDeleteMode::Soft, (404, DELETED.to_owned())),
    ] {
        for expected in [Some(1), None] {
            let (error, attempts) = swapped(mode, expected, found.clone()).await;
            assert!(is_in_doubt(&error), "{mode:?}: {error:?}");
            assert_eq!(attempts, 2, "the lost one and the one that met another version");
        }
    }
}

#[tokio::test]
async fn a_purge_spares_what_was_recovered_since_it_looked() {
    let server = Script::start(|asked, _| match asked {
        "GET /v1/secret/data/nebula/credentials/key" => said(404, DELETED),
        "GET /v1/secret/metadata/nebula/credentials/key" => said(
            200,
            r#"{"data":{"current_version":3,"versions":{"3":{"deletion_time":"","destroyed":false}}}}"#,
        ),
        _ => denied(),
    })
    .await;
    let provider = provider(server.config(), VaultDeleteMode::Soft);
    let purged = provider.soft_delete().unwrap().purge(&id("key"), &unscoped()).await;
    assert!(purged.is_ok(), "what is not deleted is spared: {purged:?}");
    assert_eq!(server.asked("P", "/key"), 0, "nothing was destroyed");
}
