//! AWS keys and tokens go through every operation and every error, with `tracing` at TRACE, and
//! must not appear in any output.

use cred_core::StorageProvider;
use cred_testing::log::Log;
use cred_testing::printed::Printed;
use cred_testing::value::{id, kind};
use serde_json::json;
use tracing::Level;

use crate::client::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN};
use crate::server::{Aws, Response, config, ctx, done, refusal};

/// An error response that repeats the keys and the token of the request.
fn echo() -> Response {
    let message = format!(
        "The Canonical String should have been 'POST x-amz-security-token:{SESSION_TOKEN} \
         Credential={ACCESS_KEY}/20260101/eu-central-1' {SECRET_KEY} ({ACCESS_KEY})"
    );
    refusal("AccessDeniedException", &message)
}

#[tokio::test]
async fn keys_and_tokens_are_never_printed_or_logged() {
    let (log, listening) = Log::of_thread(Level::TRACE);
    let mut printed = Printed::default();
    let codes = [
        "AccessDeniedException",
        "InvalidSignatureException",
        "InvalidParameterException",
        "InternalFailure",
    ];
    for code in codes {
        let aws = Aws::new(move |_| {
            let (status, body) = echo();
            // The secret key is never sent, so no server can repeat it into the SDK's log.
            (status, body.replace("AccessDeniedException", code).replace(SECRET_KEY, ""))
        })
        .await;
        printed.value(&aws.provider);
        printed.value(&aws.provider.describe());
        printed.error(&aws.retrieve().await.unwrap_err());
        printed.error(&aws.store().await.unwrap_err());
        printed.error(&aws.delete().await.unwrap_err());
        printed.error(&aws.provider.list(None, &ctx()).await.unwrap_err());
        printed.error(&aws.provider.exists(&id("key"), &ctx()).await.unwrap_err());
        let many = aws.provider.retrieve_many(&[id("a"), id("b")], &ctx()).await;
        many.iter().for_each(|answer| printed.error(answer.as_ref().unwrap_err()));
        printed.value(&aws.provider);
    }
    let aws = Aws::new(|_| done()).await;
    aws.store().await.unwrap();
    aws.provider.connect().await.unwrap();
    printed.value(&config());
    drop(listening);
    printed.holds_none_of(&[ACCESS_KEY, SECRET_KEY, SESSION_TOKEN]);
    let log = log.text();
    assert!(log.contains("cred::storage"), "nothing was logged");
    assert!(log.contains("x-amz-security-token:[redacted]"), "the SDK no longer logs refusals");
    // The SDK itself logs its client's settings at TRACE, including the id of the key.
    Printed::from(log.as_str()).holds_none_of(&[SECRET_KEY, SESSION_TOKEN]);
    let ours: String = log.lines().filter(|line| line.contains("cred::")).collect();
    Printed::from(ours.as_str()).holds_none_of(&[ACCESS_KEY]);
}

#[tokio::test]
async fn words_that_look_like_keys_are_removed_from_quoted_messages() {
    let aws = Aws::new(|_| echo()).await;
    let error = aws.retrieve().await.unwrap_err();
    assert_eq!(kind(&error), "PermissionDenied");
    assert!(
        error.to_string().contains("The Canonical String should have been 'POST x-amz-security-token:[redacted] [redacted] [redacted]"),
        "{error}"
    );
    let long = json!({"__type": "AccessDeniedException", "Message": "é ".repeat(10_000)}).to_string();
    let aws = Aws::new(move |_| (400, long.clone())).await;
    assert!(aws.retrieve().await.unwrap_err().to_string().len() < 1_500);
}

#[tokio::test]
async fn the_copy_of_the_callers_client_has_no_retries_and_no_timeouts() {
    // By default the SDK makes three attempts. The provider's policy here has no retries.
    let aws =
        Aws::with(config().with_retry_policy(cred_core::RetryPolicy::default().with_max_retries(0)), |_| {
            refusal("InternalFailure", "x")
        })
        .await;
    aws.retrieve().await.unwrap_err();
    assert_eq!(aws.actions().len(), 1);
}
