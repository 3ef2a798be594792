//! Updates of tags from the metadata: which tags are set or removed, and which failures follow.

use std::collections::BTreeMap;

use cred_core::{Sealed, StorageError, StorageProvider, Tags};
use cred_testing::value::{id, kind, value};
use serde_json::{Value, json};

use crate::server::{
    Aws, Call, Response, absent, config, ctx, described_with, done, exists, refusal, scheduled, stored_with,
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A secret with these tags, whose stored credential has set those in `own`.
fn secret(call: &Call<'_>, tags: Pairs<'_>, own: Pairs<'_>) -> Response {
    match call.action {
        "DescribeSecret" => described_with("a", false, tags),
        "GetSecretValue" => (200, stored_with("nebula/credentials/key", own).to_string()),
        _ => done(),
    }
}

async fn aws(script: impl Fn(&Call<'_>) -> Response + Send + Sync + 'static) -> Aws {
    Aws::with(config().with_update_tags(true), script).await
}

async fn store(aws: &Aws, tags: Pairs<'_>) -> Result<(), StorageError> {
    let Sealed { data, metadata } = value(1);
    let tags: BTreeMap<_, _> = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    aws.provider.store(&id("key"), data, metadata.with_tags(Tags::try_from(tags).unwrap()), &ctx()).await
}

fn only(inputs: &[Value], field: &str) -> Value {
    assert_eq!(inputs.len(), 1, "{inputs:?}");
    inputs[0][field].clone()
}

#[tokio::test]
async fn equal_tags_and_tags_of_aws_cost_one_more_call() {
    let tags: Pairs<'_> = &[("env", "prod"), ("aws:cloudformation:stack-name", "x")];
    let aws = aws(move |call| secret(call, tags, &tags[..1])).await;
    store(&aws, &tags[..1]).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret", "UpdateSecret"]);
}

#[tokio::test]
async fn new_and_changed_tags_are_set_before_the_value_and_equal_ones_are_not_sent() {
    let aws = aws(|call| secret(call, &[("env", "dev"), ("same", "s")], &[])).await;
    store(&aws, &[("env", "prod"), ("new", ""), ("same", "s")]).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret", "TagResource", "UpdateSecret"]);
    let set = only(&aws.inputs("TagResource"), "Tags");
    assert_eq!(set, json!([{"Key": "env", "Value": "prod"}, {"Key": "new", "Value": ""}]));
}

#[tokio::test]
async fn only_tags_that_the_stored_credential_has_set_are_removed() {
    let found: Pairs<'_> =
        &[("cost-centre", "7"), ("env", "prod"), ("gone", "x"), ("taken-over", "by another")];
    let own: Pairs<'_> = &[("env", "prod"), ("gone", "x"), ("taken-over", "mine"), ("not-set", "x")];
    let aws = aws(move |call| secret(call, found, own)).await;
    store(&aws, &[("env", "prod")]).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret", "GetSecretValue", "UntagResource", "UpdateSecret"]);
    assert_eq!(only(&aws.inputs("UntagResource"), "TagKeys"), json!(["gone"]));
}

/// AWS limits the number of tags.
#[tokio::test]
async fn tags_are_removed_before_others_are_set() {
    let aws = aws(|call| secret(call, &[("old", "x")], &[("old", "x")])).await;
    store(&aws, &[("new", "x")]).await.unwrap();
    let expected = ["DescribeSecret", "GetSecretValue", "UntagResource", "TagResource", "UpdateSecret"];
    assert_eq!(aws.actions(), expected);
}

#[tokio::test]
async fn tags_of_a_secret_that_this_library_did_not_write_stay() {
    let aws = aws(|call| match call.action {
        "GetSecretValue" => {
            let mut secret = stored_with("nebula/credentials/key", &[]);
            secret["SecretString"] = json!("of another program");
            (200, secret.to_string())
        }
        _ => secret(call, &[("team", "x")], &[]),
    })
    .await;
    store(&aws, &[]).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret", "GetSecretValue", "UpdateSecret"]);
}

#[tokio::test]
async fn if_aws_refuses_a_call_for_tags_nothing_is_written() {
    for refused in ["DescribeSecret", "GetSecretValue", "UntagResource", "TagResource"] {
        let aws = aws(move |call| match call.action {
            action if action == refused => refusal("AccessDeniedException", "no policy allows it"),
            _ => secret(call, &[("old", "x")], &[("old", "x")]),
        })
        .await;
        let error = store(&aws, &[("new", "x")]).await.unwrap_err();
        assert_eq!(kind(&error), "PermissionDenied", "{refused}: {error:?}");
        assert!(!error.may_have_written(), "{refused}");
        let place = format!("`secretsmanager:{refused}` on `nebula/credentials/key`");
        assert!(error.to_string().contains(&place), "{error}");
        assert!(!aws.actions().contains(&"UpdateSecret".to_owned()), "{refused}");
    }
}

#[tokio::test]
async fn a_value_that_aws_refuses_after_its_tags_were_set_is_a_definite_failure() {
    let aws = aws(|call| match call.action {
        "UpdateSecret" => refusal("LimitExceededException", "too many versions"),
        _ => secret(call, &[("old", "x")], &[("old", "x")]),
    })
    .await;
    let error = store(&aws, &[("new", "x")]).await.unwrap_err();
    assert_eq!(kind(&error), "InvalidRequest", "{error:?}");
    assert!(!error.may_have_written());
}

#[tokio::test]
async fn a_new_secret_is_created_with_its_tags_and_without_an_update() {
    let aws = aws(|call| if call.action == "DescribeSecret" { absent() } else { done() }).await;
    store(&aws, &[("env", "prod")]).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret", "CreateSecret"]);
    let set = only(&aws.inputs("CreateSecret"), "Tags");
    assert_eq!(set, json!([{"Key": "env", "Value": "prod"}]));
}

#[tokio::test]
async fn a_secret_that_is_created_meanwhile_has_its_tags_updated() {
    let aws = aws(|call| match (call.action, call.number) {
        ("DescribeSecret", 0) => absent(),
        ("CreateSecret", _) => exists(),
        _ => secret(call, &[("env", "dev")], &[]),
    })
    .await;
    store(&aws, &[("env", "prod")]).await.unwrap();
    let expected = ["DescribeSecret", "CreateSecret", "DescribeSecret", "TagResource", "UpdateSecret"];
    assert_eq!(aws.actions(), expected);
}

#[tokio::test]
async fn a_secret_that_is_deleted_meanwhile_is_created_with_its_tags() {
    let aws = aws(|call| match call.action {
        "UpdateSecret" | "TagResource" => absent(),
        _ => secret(call, &[], &[]),
    })
    .await;
    store(&aws, &[("env", "prod")]).await.unwrap();
    assert_eq!(aws.actions(), ["DescribeSecret", "TagResource", "CreateSecret"]);
}

#[tokio::test]
async fn a_scheduled_secret_is_restored_and_then_tagged_and_written() {
    let aws = aws(|call| match call.action {
        "DescribeSecret" => described_with("a", true, &[("old", "x")]),
        _ => secret(call, &[], &[("old", "x")]),
    })
    .await;
    store(&aws, &[("new", "x")]).await.unwrap();
    let expected =
        ["DescribeSecret", "RestoreSecret", "GetSecretValue", "UntagResource", "TagResource", "UpdateSecret"];
    assert_eq!(aws.actions(), expected);
}

#[tokio::test]
async fn a_restored_secret_whose_tags_are_refused_is_deleted_again() {
    for refused in ["UntagResource", "TagResource"] {
        let aws = aws(move |call| match (call.action, call.number) {
            (action, _) if action == refused => refusal("AccessDeniedException", "no policy allows it"),
            ("DescribeSecret", 0) => described_with("a", true, &[("old", "x")]),
            // The tags may differ by now. The version shows whether another client has written.
            ("DescribeSecret", _) => described_with("a", false, &[]),
            _ => secret(call, &[], &[("old", "x")]),
        })
        .await;
        let error = store(&aws, &[("new", "x")]).await.unwrap_err();
        assert_eq!(kind(&error), "RecoveredNotWritten", "{error:?}");
        assert!(error.to_string().contains("it was deleted again"), "{error}");
        assert_eq!(aws.actions().last().unwrap(), "DeleteSecret");
    }
}

#[tokio::test]
async fn a_secret_that_is_scheduled_after_it_was_described_is_restored() {
    let aws = aws(|call| match (call.action, call.number) {
        ("TagResource", 0) => scheduled(),
        ("DescribeSecret", 1) => described_with("a", true, &[]),
        _ => secret(call, &[], &[]),
    })
    .await;
    store(&aws, &[("env", "prod")]).await.unwrap();
    let expected =
        ["DescribeSecret", "TagResource", "DescribeSecret", "RestoreSecret", "TagResource", "UpdateSecret"];
    assert_eq!(aws.actions(), expected);
}

/// The outcome of an update that failed ambiguously stays unknown, whatever happens to the tags
/// afterwards.
#[tokio::test]
async fn tags_do_not_end_the_uncertainty_of_an_earlier_write() {
    let aws = aws(|call| match (call.action, call.number) {
        ("UpdateSecret", 0) => refusal("InternalServiceError", "x"),
        ("UpdateSecret", 1) => scheduled(),
        ("UpdateSecret", _) => refusal("AccessDeniedException", "x"),
        ("DescribeSecret", 1) => described_with("a", true, &[]),
        ("TagResource", _) => done(),
        _ => secret(call, &[], &[]),
    })
    .await;
    let error = store(&aws, &[("env", "prod")]).await.unwrap_err();
    assert_eq!(kind(&error), "InDoubt", "{error:?}");
}

#[tokio::test]
async fn without_update_tags_an_existing_secret_keeps_its_tags_and_costs_one_call() {
    let aws = Aws::new(|call| secret(call, &[("old", "x")], &[("old", "x")])).await;
    store(&aws, &[("new", "x")]).await.unwrap();
    assert_eq!(aws.actions(), ["UpdateSecret"]);
}

#[tokio::test]
async fn without_update_tags_a_restored_secret_keeps_its_tags() {
    let aws = Aws::new(|call| match (call.action, call.number) {
        ("UpdateSecret", 0) => scheduled(),
        ("DescribeSecret", _) => described_with("a", true, &[("old", "x")]),
        _ => secret(call, &[], &[("old", "x")]),
    })
    .await;
    store(&aws, &[("new", "x")]).await.unwrap();
    assert_eq!(aws.actions(), ["UpdateSecret", "DescribeSecret", "RestoreSecret", "UpdateSecret"]);
}
