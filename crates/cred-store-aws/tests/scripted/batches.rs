//! Reads of several secrets, and lists.

use cred_core::{CredentialContext, CredentialFilter, StorageProvider};
use cred_testing::value::{id, kind, value};
use serde_json::{Value, json};

use crate::server::{Aws, Response, ctx, described, refusal, scheduled, stored};

/// Responds to a batch. `result` decides for each name: a value, an error code, or no entry (`""`).
fn batch(input: &Value, result: fn(&str) -> Result<(), &'static str>) -> Response {
    let names = input["SecretIdList"].as_array().unwrap();
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for name in names.iter().map(|name| name.as_str().unwrap()) {
        match result(name.rsplit('/').next().unwrap()) {
            Ok(()) => values.push(stored(name)),
            Err("") => {}
            Err(code) => errors.push(json!({"SecretId": name, "ErrorCode": code, "Message": "x"})),
        }
    }
    (200, json!({"SecretValues": values, "Errors": errors}).to_string())
}

fn ids(count: usize) -> Vec<cred_core::CredentialId> {
    (0..count).map(|number| id(&format!("key-{number}"))).collect()
}

#[tokio::test]
async fn a_hundred_secrets_are_read_in_five_calls_of_twenty() {
    let aws = Aws::new(|call| batch(call.input, |_| Ok(()))).await;
    let mut asked = ids(100);
    asked.extend(ids(3));
    let answers = aws.provider.retrieve_many(&asked, &ctx()).await;
    assert_eq!(answers.len(), 103);
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|stored| *stored == value(1))));
    let calls = aws.inputs("BatchGetSecretValue");
    assert_eq!((calls.len(), aws.actions().len()), (5, 5));
    assert!(calls.iter().all(|input| input["SecretIdList"].as_array().unwrap().len() == 20));
    assert_eq!(aws.provider.describe().batch.get(), 20);
}

#[tokio::test]
async fn each_secret_of_a_batch_fails_alone() {
    let aws = Aws::new(|call| match call.action {
        "BatchGetSecretValue" => batch(call.input, |name| match name {
            "key-1" => Err("ResourceNotFoundException"),
            "key-2" => Err("AccessDeniedException"),
            "key-3" => Err("DecryptionFailure"),
            "key-4" => Err("InvalidRequestException"),
            "key-5" => Err("InternalServiceError"),
            // Left out, as AWS does if the response would be too long.
            "key-6" => Err(""),
            _ => Ok(()),
        }),
        "DescribeSecret" => described("a", true),
        _ if call.input["SecretId"] == "nebula/credentials/key-4" => scheduled(),
        _ => (200, stored(call.input["SecretId"].as_str().unwrap()).to_string()),
    })
    .await;
    let answers = aws.provider.retrieve_many(&ids(8), &ctx()).await;
    let kinds: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().map_or_else(kind, |_| "Ok".into())).collect();
    let expected = ["Ok", "NotFound", "PermissionDenied", "PermissionDenied", "NotFound", "Ok", "Ok", "Ok"];
    assert_eq!(kinds, expected);
    for (answer, id) in answers.iter().zip(ids(8)) {
        assert!(answer.as_ref().err().is_none_or(|error| error.path().unwrap().id == id));
    }
    assert_eq!(
        aws.inputs("GetSecretValue").len(),
        3,
        "the scheduled one, the failed one, and the one left out"
    );
}

#[tokio::test]
async fn without_the_batch_permission_secrets_are_read_one_by_one_after_one_refusal() {
    let aws = Aws::new(|call| match call.action {
        "BatchGetSecretValue" => refusal("AccessDeniedException", "no"),
        _ => (200, stored(call.input["SecretId"].as_str().unwrap()).to_string()),
    })
    .await;
    for _ in 0..2 {
        let answers = aws.provider.retrieve_many(&ids(20), &ctx()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    assert_eq!(aws.inputs("BatchGetSecretValue").len(), 1);
    assert_eq!(aws.inputs("GetSecretValue").len(), 40);
}

#[tokio::test]
async fn after_a_shutdown_every_id_is_refused_and_nothing_is_sent() {
    let aws = Aws::new(|call| batch(call.input, |_| Ok(()))).await;
    aws.provider.shutdown().await;
    let answers = aws.provider.retrieve_many(&ids(2), &ctx()).await;
    let kinds: Vec<_> = answers.iter().map(|answer| kind(answer.as_ref().unwrap_err())).collect();
    assert_eq!((kinds, aws.actions().len()), (vec!["ShutDown".to_owned(); 2], 0));
}

fn page(names: &[&str], next: Option<&str>) -> Response {
    let list: Vec<_> =
        names.iter().map(|name| json!({"Name": name, "ARN": format!("arn:aws:x:{name}")})).collect();
    (200, json!({"SecretList": list, "NextToken": next}).to_string())
}

#[tokio::test]
async fn a_list_with_an_invalid_page_token_is_started_again() {
    let aws = Aws::new(|call| match (call.number, call.input["NextToken"].as_str()) {
        (1, Some(_)) => refusal("InvalidNextTokenException", "The NextToken value is invalid."),
        (_, None) => page(&["nebula/credentials/a", "other"], Some("token")),
        (_, Some(_)) => page(&["nebula/credentials/a", "nebula/credentials/b"], None),
    })
    .await;
    let mut listed = aws.provider.list(None, &ctx()).await.unwrap();
    listed.sort();
    assert_eq!(listed, [id("a"), id("b")], "each once, although two pages have it");
    let first = &aws.inputs("ListSecrets")[0];
    assert_eq!(first["Filters"], json!([{"Key": "name", "Values": ["nebula/credentials/"]}]));
    assert_eq!(first["MaxResults"], json!(100));

    let aws = Aws::new(|call| match call.input["NextToken"].as_str() {
        None => page(&["nebula/credentials/a"], Some("token")),
        Some(_) => refusal("InvalidNextTokenException", "The NextToken value is invalid."),
    })
    .await;
    assert_eq!(kind(&aws.provider.list(None, &ctx()).await.unwrap_err()), "Unavailable");
}

/// The name is hashed and the description was removed, so only the value contains the path.
#[tokio::test]
async fn an_outage_while_a_path_is_read_from_the_value_is_not_corruption() {
    for (code, expected) in [
        ("InternalServiceError", "Unavailable"),
        ("ThrottlingException", "Throttled"),
        ("AccessDeniedException", "PermissionDenied"),
    ] {
        let aws = Aws::new(move |call| match call.action {
            "ListSecrets" => page(&[&format!("nebula/credentials/@h{}", "a".repeat(52))], None),
            _ => refusal(code, "x"),
        })
        .await;
        assert_eq!(kind(&aws.provider.list(None, &ctx()).await.unwrap_err()), expected, "{code}");
    }
}

/// AWS accepts 512 characters in a filter.
#[tokio::test]
async fn a_scope_too_long_for_a_filter_is_listed_by_its_hashed_names() {
    let aws = Aws::new(|_| page(&[], None)).await;
    for length in [400, 490] {
        let scope = format!("o:{}", "x".repeat(length)).parse().unwrap();
        assert!(aws.provider.list(None, &CredentialContext::scoped(scope)).await.unwrap().is_empty());
    }
    let inputs = aws.inputs("ListSecrets");
    let values = inputs.iter().map(|input| input["Filters"][0]["Values"][0].as_str().unwrap().len());
    let values: Vec<_> = values.collect();
    assert!(values.len() == 3 && values.iter().all(|length| *length <= 512), "{values:?}");
}

#[tokio::test]
async fn a_filter_skips_a_secret_that_was_deleted_after_it_was_listed() {
    let aws = Aws::new(|call| match call.action {
        "ListSecrets" => page(&["nebula/credentials/a", "nebula/credentials/b"], None),
        _ => batch(call.input, |name| if name == "a" { Err("ResourceNotFoundException") } else { Ok(()) }),
    })
    .await;
    let filter = CredentialFilter::new().with_created_after(cred_core::Timestamp::from_unix_millis(1));
    assert_eq!(aws.provider.list(Some(&filter), &ctx()).await.unwrap(), [id("b")]);
}
