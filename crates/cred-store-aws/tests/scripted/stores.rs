//! Stores and deletions, also of secrets that are scheduled for deletion or being deleted.

use std::time::Duration;

use cred_core::{Sealed, StorageError, StorageProvider, Tags};
use cred_store_aws::AwsOverDeleted;
use cred_testing::log::Log;
use cred_testing::value::{id, kind, sized, value};
use serde_json::json;
use tracing::Level;

use crate::server::{Aws, Response, absent, config, ctx, described, done, exists, refusal, scheduled};

#[tokio::test]
async fn attempts_of_one_store_share_a_request_token_and_two_stores_do_not() {
    let aws = Aws::new(|call| match call.number {
        0 => refusal("InternalServiceError", "x"),
        _ => done(),
    })
    .await;
    aws.store().await.unwrap();
    aws.store().await.unwrap();
    let tokens: Vec<_> =
        aws.inputs("UpdateSecret").iter().map(|input| input["ClientRequestToken"].clone()).collect();
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[1], tokens[2]);
    assert_eq!(tokens[0].as_str().unwrap().len(), 32, "32 to 64 characters");
}

#[tokio::test]
async fn a_secret_that_is_created_meanwhile_is_overwritten() {
    let aws = Aws::new(|call| match (call.action, call.number) {
        ("UpdateSecret", 0) => absent(),
        ("CreateSecret", _) => exists(),
        _ => done(),
    })
    .await;
    aws.store().await.unwrap();
    assert_eq!(aws.actions(), ["UpdateSecret", "CreateSecret", "UpdateSecret"]);
}

#[tokio::test]
async fn a_store_waits_while_aws_is_deleting_a_secret_of_that_name() {
    // AWS finishes a forced deletion later. Until then, the secret does not exist for some
    // operations, and its name is taken for others.
    let still_deleting = || {
        let message =
            "You can't create this secret because a secret with this name is already scheduled for deletion.";
        refusal("InvalidRequestException", message)
    };
    let aws = Aws::new(move |call| match (call.action, call.number) {
        ("CreateSecret", 2) => done(),
        ("CreateSecret", _) => still_deleting(),
        _ => absent(),
    })
    .await;
    aws.store().await.unwrap();
    assert_eq!(aws.inputs("CreateSecret").len(), 3);

    let config = config().with_operation_timeout(Duration::from_secs(5));
    let aws = Aws::with(
        config,
        move |call| if call.action == "CreateSecret" { still_deleting() } else { absent() },
    )
    .await;
    let error = aws.store().await.unwrap_err();
    assert_eq!(kind(&error), "Busy");
    assert!(!error.may_have_written() && error.to_string().contains("still deleting"), "{error}");
}

#[tokio::test]
async fn a_scheduled_secret_is_restored_and_overwritten() {
    let aws = Aws::new(|call| match (call.action, call.number) {
        ("UpdateSecret", 0) => scheduled(),
        ("DescribeSecret", _) => described("old", true),
        _ => done(),
    })
    .await;
    aws.store().await.unwrap();
    assert_eq!(aws.actions(), ["UpdateSecret", "DescribeSecret", "RestoreSecret", "UpdateSecret"]);
}

#[tokio::test]
async fn a_store_over_a_scheduled_secret_is_refused_if_configured() {
    let config = config().with_over_deleted(AwsOverDeleted::Refuse);
    let aws = Aws::with(config, |call| match call.action {
        "DescribeSecret" => described("old", true),
        _ => scheduled(),
    })
    .await;
    let error = aws.store().await.unwrap_err();
    assert_eq!(kind(&error), "InvalidRequest");
    assert!(error.to_string().contains("is scheduled for deletion"), "{error}");
    assert_eq!(aws.actions(), ["UpdateSecret", "DescribeSecret"]);
}

/// Stores over a scheduled secret. After the restoration, writes have the response `write`, and
/// descriptions the response `now`.
async fn store_after_restore(now: fn() -> Response, write: fn() -> Response) -> (StorageError, Vec<String>) {
    let aws = Aws::new(move |call| match (call.action, call.number) {
        ("UpdateSecret", 0) => scheduled(),
        ("UpdateSecret", _) => write(),
        ("DescribeSecret", 0) => described("a", true),
        ("DescribeSecret", _) => now(),
        _ => done(),
    })
    .await;
    (aws.store().await.unwrap_err(), aws.actions())
}

#[tokio::test]
async fn a_restored_secret_that_cannot_be_written_is_deleted_again() {
    let write = || refusal("EncryptionFailure", "the key is disabled");
    let (error, actions) = store_after_restore(|| described("a", false), write).await;
    assert_eq!(kind(&error), "RecoveredNotWritten");
    assert!(error.to_string().contains("it was deleted again"), "{error}");
    assert_eq!(actions.last().unwrap(), "DeleteSecret");

    // The description does not show the restoration yet.
    let (error, actions) = store_after_restore(|| described("a", true), write).await;
    assert_eq!(kind(&error), "RecoveredNotWritten");
    assert_eq!(actions.last().unwrap(), "DeleteSecret");

    // Another client has successfully written it since.
    let (error, actions) = store_after_restore(|| described("b", false), write).await;
    assert_eq!(kind(&error), "InDoubt");
    assert!(!actions.contains(&"DeleteSecret".to_owned()), "{actions:?}");
}

#[tokio::test]
async fn a_restored_secret_that_may_have_been_written_is_not_deleted() {
    let write = || refusal("InternalServiceError", "x");
    let (error, actions) = store_after_restore(|| described("a", false), write).await;
    assert_eq!(kind(&error), "InDoubt");
    assert!(!actions.contains(&"DeleteSecret".to_owned()), "{actions:?}");
}

#[tokio::test]
async fn a_refusal_of_a_live_secret_keeps_its_reason() {
    let message = "You can't modify a secret that is managed by another service.";
    let aws = Aws::new(move |call| match call.action {
        "DescribeSecret" => described("a", false),
        _ => refusal("InvalidRequestException", message),
    })
    .await;
    for error in
        [aws.store().await.unwrap_err(), aws.retrieve().await.unwrap_err(), aws.delete().await.unwrap_err()]
    {
        assert_eq!(kind(&error), "InvalidRequest");
        assert!(error.to_string().contains("managed by another service"), "{error}");
    }
}

#[tokio::test]
async fn a_scheduled_secret_is_not_found_and_can_be_deleted_again() {
    let aws = Aws::new(|call| match call.action {
        "DescribeSecret" => described("a", true),
        _ => scheduled(),
    })
    .await;
    assert_eq!(kind(&aws.retrieve().await.unwrap_err()), "NotFound");
    assert!(!aws.provider.exists(&id("key"), &ctx()).await.unwrap());
    aws.delete().await.unwrap();
    let answers = aws.provider.retrieve_many(&[id("key"), id("key")], &ctx()).await;
    assert_eq!(answers.len(), 2);
    assert!(
        answers.iter().all(|answer| answer.as_ref().is_err_and(StorageError::is_not_found)),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_live_secret_is_neither_recovered_nor_purged() {
    let aws = Aws::new(|_| described("a", false)).await;
    let soft = aws.provider.soft_delete().unwrap();
    assert!(soft.recover(&id("key"), &ctx()).await.unwrap_err().is_not_found());
    soft.purge(&id("key"), &ctx()).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret"; 2]);
    let without = Aws::with(config().with_recovery_window_days(None), |_| done()).await;
    assert!(without.provider.soft_delete().is_none());
    without.delete().await.unwrap();
    assert_eq!(without.inputs("DeleteSecret")[0]["ForceDeleteWithoutRecovery"], json!(true));
    assert!(without.inputs("DeleteSecret")[0].get("RecoveryWindowInDays").is_none());
    aws.delete().await.unwrap();
    assert_eq!(aws.inputs("DeleteSecret")[0]["RecoveryWindowInDays"], json!(30));
}

#[tokio::test]
async fn a_value_above_the_recommended_size_is_stored_with_one_warning_for_all_attempts() {
    let aws = Aws::new(|call| match call.number {
        0 => refusal("InternalServiceError", "x"),
        _ => done(),
    })
    .await;
    let store = async |len: usize| {
        let Sealed { data, metadata } = sized(1, len);
        let (log, listening) = Log::of_thread(Level::WARN);
        aws.provider.store(&id("key"), data, metadata, &ctx()).await.unwrap();
        drop(listening);
        log.text().matches("larger than recommended").count()
    };
    // Base64 makes four bytes of three, and the rest of the envelope is less than 1 KiB.
    assert_eq!(store(32 * 1_024 / 4 * 3).await, 1);
    assert_eq!(aws.inputs("UpdateSecret").len(), 2);
    assert_eq!(store(31 * 1_024 / 4 * 3).await, 0);
}

#[tokio::test]
async fn credentials_beyond_a_limit_are_refused_before_anything_is_sent() {
    let aws = Aws::new(|_| done()).await;
    let limits = aws.provider.describe().limits;
    assert_eq!((limits.max_payload_len, limits.recommended_payload_len), (Some(65_536), Some(32_768)));
    assert_eq!(
        (limits.max_tags, limits.max_tag_key_len, limits.max_tag_value_len),
        (Some(50), Some(128), Some(256))
    );
    let Sealed { mut data, metadata } = value(1);
    data.ciphertext = vec![0; 65_536 * 3 / 4];
    let error = aws.provider.store(&id("key"), data, metadata, &ctx()).await.unwrap_err();
    assert_eq!(kind(&error), "TooLarge");
    let Sealed { data, mut metadata } = value(1);
    metadata.tags.insert("aws:x", "").unwrap();
    let error = aws.provider.store(&id("key"), data, metadata, &ctx()).await.unwrap_err();
    assert_eq!(kind(&error), "InvalidRequest");

    let tags = |from: u32, to: u32| (from..to).map(|number| (format!("t{number}"), ""));
    let two = Aws::with(config().with_default_tags(tags(100, 102)), |_| done()).await;
    assert_eq!(two.provider.describe().limits.max_tags, Some(48));
    let Sealed { data, mut metadata } = value(1);
    metadata.tags = Tags::from_pairs(tags(0, 49)).unwrap();
    let error = two.provider.store(&id("key"), data, metadata, &ctx()).await.unwrap_err();
    assert_eq!(kind(&error), "InvalidRequest");
    assert_eq!((aws.actions().len(), two.actions().len()), (0, 0));
}

#[tokio::test]
async fn no_name_ends_like_an_arn() {
    let aws = Aws::new(|call| if call.action == "UpdateSecret" { absent() } else { done() }).await;
    for name in ["db-secret", "a-123456", "-abcdef"] {
        let Sealed { data, metadata } = value(1);
        aws.provider.store(&id(name), data, metadata, &ctx()).await.unwrap();
    }
    for input in aws.inputs("CreateSecret") {
        let name = input["Name"].as_str().unwrap();
        assert_ne!(name.as_bytes()[name.len() - 7], b'-', "{name}");
    }
}
