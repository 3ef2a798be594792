//! Keys and tokens of AWS are sent through every operation and every error, with `tracing` at
//! TRACE, and must come out nowhere.

use cred_core::StorageProvider;
use cred_testing::log::Log;
use cred_testing::printed::Printed;
use cred_testing::value::{id, kind};
use serde_json::json;
use tracing::Level;

use crate::client::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN};
use crate::server::{Answer, Aws, config, ctx, done, refusal};

/// A server that repeats what it was sent, in every answer.
fn echo() -> Answer {
    let message = format!(
        "The Canonical String should have been 'POST x-amz-security-token:{SESSION_TOKEN} \
         Credential={ACCESS_KEY}/20260101/eu-central-1' {SECRET_KEY} ({ACCESS_KEY})"
    );
    refusal("AccessDeniedException", &message)
}

#[tokio::test]
async fn keys_and_tokens_come_out_of_nothing() {
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
            // The key that signs is never sent, so that no server can repeat it into the SDK's log.
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
    // The SDK itself writes its client's settings at TRACE, the name of the key among them.
    Printed::from(log.as_str()).holds_none_of(&[SECRET_KEY, SESSION_TOKEN]);
    let ours: String = log.lines().filter(|line| line.contains("cred::")).collect();
    Printed::from(ours.as_str()).holds_none_of(&[ACCESS_KEY]);
}

#[tokio::test]
async fn what_a_server_repeats_is_told_without_what_looks_like_a_key() {
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
    // Its own would be three attempts; the provider's policy here has none.
    let aws =
        Aws::with(config().with_retry_policy(cred_core::RetryPolicy::default().with_max_retries(0)), |_| {
            refusal("InternalFailure", "x")
        })
        .await;
    aws.retrieve().await.unwrap_err();
    assert_eq!(aws.actions().len(), 1);
}
