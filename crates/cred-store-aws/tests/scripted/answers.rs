//! Responses of AWS, above all error responses, and the errors that the provider returns for them.

use std::time::Duration;

use cred_core::{RetryPolicy, StorageError, StorageProvider};
use cred_store_aws::AwsSecretsManagerProvider;
use cred_testing::http::Server;
use cred_testing::value::{id, kind, store};
use serde_json::json;

use crate::client::sdk;
use crate::server::{Aws, Response, absent, config, ctx, done, refusal};

/// The outcome of each operation if every call has this response. A `?` marks an error after which
/// the write may have taken effect.
async fn outcomes(answer: fn() -> Response) -> [String; 5] {
    let aws = Aws::new(move |_| answer()).await;
    let write =
        |error: StorageError| format!("{}{}", kind(&error), if error.may_have_written() { "?" } else { "" });
    let read = |error: StorageError| kind(&error);
    [
        aws.retrieve().await.map_or_else(read, |_| "Ok".into()),
        aws.provider.exists(&id("key"), &ctx()).await.map_or_else(read, |_| "Ok".into()),
        aws.provider.list(None, &ctx()).await.map_or_else(read, |_| "Ok".into()),
        aws.store().await.map_or_else(write, |()| "Ok".into()),
        aws.delete().await.map_or_else(write, |()| "Ok".into()),
    ]
}

/// Every error of the service's API reference, and those common to all services.
#[tokio::test]
async fn each_documented_error_has_its_kind() {
    let same = |kind: &'static str| [kind; 5];
    let refused = same("InvalidRequest");
    let denied = same("PermissionDenied");
    let unknown = same("AuthenticationFailed");
    let throttled = same("Throttled");
    let down = ["Unavailable", "Unavailable", "Unavailable", "InDoubt?", "InDoubt?"];
    for (answer, expected) in [
        ((|| refusal("DecryptionFailure", "x")) as fn() -> Response, denied),
        (|| refusal("EncryptionFailure", "x"), denied),
        (|| refusal("InternalServiceError", "An error occurred on the server side."), down),
        (|| refusal("InvalidParameterException", "x"), refused),
        (|| refusal("InvalidRequestException", "x"), refused),
        (|| refusal("LimitExceededException", "x"), refused),
        (|| refusal("MalformedPolicyDocumentException", "x"), refused),
        (|| refusal("PreconditionNotMetException", "x"), refused),
        (|| refusal("PublicPolicyException", "x"), refused),
        (|| refusal("AccessDeniedException", "x"), denied),
        (|| (403, "{}".into()), denied),
        (|| refusal("NotAuthorized", "x"), denied),
        (|| refusal("ExpiredTokenException", "x"), unknown),
        (|| refusal("IncompleteSignature", "x"), unknown),
        (|| refusal("InvalidSignatureException", "x"), unknown),
        (|| refusal("MissingAuthenticationToken", "x"), unknown),
        (|| refusal("UnrecognizedClientException", "x"), unknown),
        (|| refusal("InvalidClientTokenId", "x"), unknown),
        (|| refusal("OptInRequired", "x"), unknown),
        (|| refusal("RequestExpired", "x"), unknown),
        (|| (401, "{}".into()), unknown),
        (|| refusal("ThrottlingException", "Rate exceeded"), throttled),
        (|| refusal("Throttling", "Rate exceeded"), throttled),
        (|| (429, "{}".into()), throttled),
        (|| refusal("InternalFailure", "x"), down),
        (|| (503, json!({"__type": "ServiceUnavailable"}).to_string()), down),
        (|| (502, "<html>bad gateway</html>".into()), down),
        (|| refusal("ValidationError", "x"), refused),
        (|| refusal("UnknownOperationException", "x"), refused),
        (|| refusal("SomethingOfTomorrow", "x"), refused),
    ] {
        assert_eq!(outcomes(answer).await, expected, "{:?}", answer());
    }
    // The secret does not exist, and cannot be created.
    let [retrieve, exists_, list, _, delete] = outcomes(absent).await;
    assert_eq!([&*retrieve, &*exists_, &*list, &*delete], ["NotFound", "Ok", "NotFound", "Ok"]);
}

#[tokio::test]
async fn a_refusal_names_the_call_and_the_reason() {
    let message = "User: arn:aws:sts::123456789012:assumed-role/app/i-1 is not authorized to perform: \
                   secretsmanager:GetSecretValue on resource: nebula/credentials/key because no identity-based policy allows";
    let aws = Aws::new(move |_| refusal("AccessDeniedException", message)).await;
    let text = aws.retrieve().await.unwrap_err().to_string();
    assert!(text.contains("`secretsmanager:GetSecretValue` on `nebula/credentials/key`"), "{text}");
    assert!(text.contains("assumed-role/app/i-1 is not authorized"), "{text}");
    let aws = Aws::new(|_| refusal("DecryptionFailure", "no key")).await;
    assert!(aws.retrieve().await.unwrap_err().to_string().contains("`kms:Decrypt`"));
    let aws = Aws::new(|_| refusal("LimitExceededException", "You have too many versions")).await;
    let text = aws.store().await.unwrap_err().to_string();
    assert!(text.contains("too many versions") && text.contains("one in ten minutes"), "{text}");
}

#[tokio::test]
async fn only_transient_refusals_are_retried() {
    let aws = Aws::new(|_| refusal("AccessDeniedException", "x")).await;
    aws.retrieve().await.unwrap_err();
    assert_eq!(aws.actions(), ["GetSecretValue"]);
    let aws = Aws::new(|_| refusal("ThrottlingException", "Rate exceeded")).await;
    aws.retrieve().await.unwrap_err();
    assert_eq!(aws.actions().len(), 3, "the SDK makes no retries in addition to ours");
}

#[tokio::test]
async fn a_response_that_is_not_from_aws_names_the_address_and_is_not_corruption() {
    let unavailable = ["Unavailable", "Unavailable", "Unavailable", "InDoubt?", "InDoubt?"];
    for (answer, called) in [
        ((|| (200, "<html>welcome</html>".into())) as fn() -> Response, "text that is not JSON"),
        (|| (200, "[7]".into()), "JSON of another form"),
        (|| (200, "{}".into()), "JSON of another form"),
        (|| (200, r#"{"welcome":true}"#.into()), "JSON of another form"),
        (|| (200, String::new()), "JSON of another form"),
    ] {
        assert_eq!(outcomes(answer).await, unavailable, "{:?}", answer());
        let aws = Aws::new(move |_| answer()).await;
        let text = aws.retrieve().await.unwrap_err().to_string();
        let expected = format!("`{}` sent {called}, which is not an answer of AWS", aws.address());
        assert!(text.contains(&expected) && text.contains("`endpoint_url`"), "{text}");
        assert!(!text.contains("welcome"), "{text}");
    }
    // A proxy that does not know AWS does not report that a credential is absent.
    let aws = Aws::new(|_| (404, "<html>not found</html>".into())).await;
    let error = aws.retrieve().await.unwrap_err();
    assert_eq!(kind(&error), "InvalidRequest");
    assert!(error.to_string().contains("which is not an answer of AWS"), "{error}");
}

#[tokio::test]
async fn the_constructor_sends_nothing_and_declares_the_documented_lags() {
    let aws = Aws::new(|_| done()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(aws.actions().is_empty());
    let five_minutes = Duration::from_secs(300);
    let consistency = aws.provider.describe().consistency;
    assert_eq!((consistency.point(), consistency.list()), (five_minutes, five_minutes));
    aws.provider.connect().await.unwrap();
    assert!(aws.actions().is_empty(), "connecting calls only the source of AWS credentials");
}

/// The provider reads the body before the SDK does, to remove the token.
#[tokio::test]
async fn a_truncated_error_response_is_unavailable() {
    let answer = "HTTP/1.1 400 X\r\nContent-Length: 900\r\n\r\n{\"__type\": \"AccessDenied";
    let server = Server::answering([cred_testing::http::Answer::raw(answer)]).await;
    let config = config().with_retry_policy(RetryPolicy::default().with_max_retries(0));
    let provider = AwsSecretsManagerProvider::with_client(config, sdk(server.address())).unwrap();
    let error = provider.retrieve(&id("key"), &ctx()).await.unwrap_err();
    assert_eq!(kind(&error), "Unavailable", "{error:?}");
    assert!(error.to_string().contains("the connection ended before the response was complete"), "{error}");
}

/// For the deletion of a secret that does not exist, AWS may return neither name nor ARN.
#[tokio::test]
async fn a_deletion_succeeds_whatever_the_response_of_aws_names() {
    for body in [r#"{"ARN":"a"}"#, r#"{"Name":"n"}"#, r#"{"DeletionDate":1700000000.5}"#] {
        let aws = Aws::new(move |_| (200, body.into())).await;
        aws.delete().await.unwrap();
    }
    let aws = Aws::new(|_| (200, r#"{"Name":"n"}"#.into())).await;
    aws.store().await.unwrap();
    let answer = cred_testing::http::Answer::new(200, "{}").with_header("x-amzn-RequestId: 1-2-3");
    let server = Server::answering([answer]).await;
    for window in [None, Some(7)] {
        let config = config().with_recovery_window_days(window);
        let provider = AwsSecretsManagerProvider::with_client(config, sdk(server.address())).unwrap();
        provider.delete(&id("key"), &ctx()).await.unwrap();
        // A gateway sends that header too, so it is not enough for any other response.
        let error = store(&provider, "key", 1).await.unwrap_err();
        assert!(error.may_have_written(), "{error:?}");
    }
}
