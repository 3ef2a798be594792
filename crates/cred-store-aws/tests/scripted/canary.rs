//! Keys and tokens of AWS are sent through every operation and every error, with `tracing` at TRACE, and must come out nowhere.

use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Arc, Mutex};

use cred_core::{StorageError, StorageProvider};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, id};
use crate::server::{Answer, Aws, config, ctx, done, kind, refusal};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// All that a value could print of itself.
fn print(out: &mut String, value: &impl Debug) {
    writeln!(out, "{value:?} {value:#?}").unwrap();
}

fn print_error(out: &mut String, error: &StorageError) {
    writeln!(out, "{error}").unwrap();
    print(out, error);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        writeln!(out, "{error} {error:?}").unwrap();
        cause = error.source();
    }
}

fn is_clean(printed: &str, secrets: &[&str]) {
    assert!(!printed.is_empty());
    for secret in secrets {
        if let Some(at) = printed.find(secret) {
            let around = printed.get(at.saturating_sub(200)..at).unwrap_or_default();
            panic!("something of AWS's credentials is printed after {around}");
        }
    }
}

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
    // Of a single one, tracing asks whichever thread comes by a span first, and keeps the answer: that thread may be another
    // test's, where nobody listens. Of two it asks both.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut printed = String::new();
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
        print(&mut printed, &aws.provider);
        print(&mut printed, &aws.provider.describe());
        print_error(&mut printed, &aws.retrieve().await.unwrap_err());
        print_error(&mut printed, &aws.store().await.unwrap_err());
        print_error(&mut printed, &aws.delete().await.unwrap_err());
        print_error(&mut printed, &aws.provider.list(None, &ctx()).await.unwrap_err());
        print_error(&mut printed, &aws.provider.exists(&id("key"), &ctx()).await.unwrap_err());
        let many = aws.provider.retrieve_many(&[id("a"), id("b")], &ctx()).await;
        many.iter().for_each(|answer| print_error(&mut printed, answer.as_ref().unwrap_err()));
        print(&mut printed, &aws.provider);
    }
    let aws = Aws::new(|_| done()).await;
    aws.store().await.unwrap();
    aws.provider.connect().await.unwrap();
    print(&mut printed, &config());
    drop(guard);
    is_clean(&printed, &[ACCESS_KEY, SECRET_KEY, SESSION_TOKEN]);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("cred::storage"), "the log is one");
    assert!(log.contains("x-amz-security-token:[redacted]"), "the SDK writes refusals into it");
    // The SDK itself writes its client's settings at TRACE, the name of the key among them.
    is_clean(&log, &[SECRET_KEY, SESSION_TOKEN]);
    let ours: String = log.lines().filter(|line| line.contains("cred::")).collect();
    is_clean(&ours, &[ACCESS_KEY]);
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
