//! The sources of credentials in AWS's default chain, each in a process without any other.
//!
//! Each test starts itself again in a process with its own environment, because all tests of this
//! process share one.

use std::process::Command;
use std::sync::{Arc, Mutex};

use cred_core::StorageProvider;
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use cred_testing::http::{Answer, Request, Server};
use cred_testing::value::{id, kind, unscoped};
use serde_json::json;
use tempfile::TempDir;

use crate::server::stored;

const CHILD: &str = "CRED_TEST_CHAIN_CHILD";
const KEY: &str = "AKIA0000000000000042";
const FAR_FUTURE: &str = "2099-01-01T00:00:00Z";

/// A server for all sources in the chain, and a Secrets Manager that records the access keys.
struct ChainTest {
    name: &'static str,
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
    home: TempDir,
}

impl ChainTest {
    /// `None`: this is the process that the test has started, and its read is done.
    async fn new(name: &'static str) -> Option<Self> {
        if std::env::var_os(CHILD).is_some() {
            read().await;
            return None;
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorder = Arc::clone(&seen);
        let server = Server::start(move |request| {
            if let (Some(_), Some(signature)) =
                (request.header("x-amz-target"), request.header("authorization"))
            {
                let key = signature.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
                recorder.lock().unwrap().push(key.unwrap().to_owned());
                return Answer::new(200, stored("nebula/credentials/key"));
            }
            source_response(request)
        })
        .await;
        Some(Self { name, server, seen, home: tempfile::tempdir().unwrap() })
    }

    fn file(&self, file_name: &str, text: &str) -> String {
        let path = self.home.path().join(file_name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn url(&self) -> String {
        self.server.url()
    }

    /// Starts the test again with this environment, and returns the outcome of its read.
    async fn outcome(&self, environment: &[(&str, &str)]) -> String {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("chain::{}", self.name), "--nocapture"]).env_clear().env(CHILD, "1");
        child.env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        child.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.url()).env("AWS_REGION", "eu-central-1");
        for (name, value) in environment {
            match value.is_empty() {
                true => child.env_remove(name),
                false => child.env(name, value),
            };
        }
        let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let outcome = stdout
            .lines()
            .find_map(|line| line.split_once("outcome: "))
            .unwrap_or_else(|| panic!("{stdout}"));
        outcome.1.to_owned()
    }

    async fn assert_signed_with_key(&self, environment: &[(&str, &str)]) {
        assert_eq!(self.outcome(environment).await, "Ok");
        assert_eq!(*self.seen.lock().unwrap(), [KEY]);
    }
}

/// The responses of the sources of credentials.
fn source_response(request: &Request) -> Answer {
    let keys = json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": KEY,
        "SecretAccessKey": "secret", "Token": "token", "Expiration": FAR_FUTURE,
    });
    let sso = json!({"roleCredentials": {
        "accessKeyId": KEY, "secretAccessKey": "secret", "sessionToken": "token", "expiration": 4_070_908_800_000_u64,
    }});
    let sts = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEY}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>{FAR_FUTURE}</Expiration>\
         </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    );
    match request.line() {
        "PUT /latest/api/token" => {
            Answer::new(200, "token").with_header("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 600")
        }
        "GET /latest/meta-data/placement/region" => Answer::new(200, "eu-central-1"),
        "GET /latest/meta-data/iam/security-credentials/" => Answer::new(200, "app"),
        "GET /latest/meta-data/iam/security-credentials/app" | "GET /container" => Answer::new(200, keys),
        line if line.starts_with("GET /federation/credentials") => Answer::new(200, sso),
        "POST /" => Answer::new(200, sts),
        _ => Answer::new(404, ""),
    }
}

/// The read of the other process, with the credentials that the chain finds.
async fn read() {
    let config = AwsSecretsManagerConfig::from_env();
    let provider = AwsSecretsManagerProvider::new(config).unwrap();
    let answer = provider.retrieve(&id("key"), &unscoped()).await;
    // On a separate line, because the test runner may have begun one.
    println!(
        "\noutcome: {}",
        answer.map_or_else(|error| format!("{} {error}", kind(&error)), |_| "Ok".into())
    );
}

#[tokio::test]
async fn keys_from_the_environment() {
    let Some(test) = ChainTest::new("keys_from_the_environment").await else { return };
    let keys = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "secret")];
    test.assert_signed_with_key(&keys).await;
}

#[tokio::test]
async fn a_profile_and_its_region() {
    let Some(test) = ChainTest::new("a_profile_and_its_region").await else { return };
    let text = format!(
        "[profile app]\nregion = eu-west-1\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n"
    );
    let file = test.file("config", &text);
    let environment = [("AWS_CONFIG_FILE", &*file), ("AWS_PROFILE", "app"), ("AWS_REGION", "")];
    test.assert_signed_with_key(&environment).await;
}

#[tokio::test]
async fn a_credential_process() {
    let Some(test) = ChainTest::new("a_credential_process").await else { return };
    let keys = json!({"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": "secret"});
    let keys = test.file("keys.json", &keys.to_string());
    let file = test.file("config", &format!("[default]\ncredential_process = cat {keys}\n"));
    test.assert_signed_with_key(&[("AWS_CONFIG_FILE", &file)]).await;
}

#[tokio::test]
async fn an_sso_login() {
    let Some(test) = ChainTest::new("an_sso_login").await else { return };
    let text = "[default]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = app\n\
                [sso-session s]\nsso_region = eu-central-1\nsso_start_url = https://example.awsapps.com/start\n";
    let file = test.file("config", text);
    let token = json!({
        "accessToken": "token", "expiresAt": FAR_FUTURE, "region": "eu-central-1",
        "startUrl": "https://example.awsapps.com/start",
    });
    // The file name is the SHA-1 of the session's name.
    test.file(".aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json", &token.to_string());
    let environment = [("AWS_CONFIG_FILE", &*file), ("AWS_ENDPOINT_URL_SSO", &test.url())];
    test.assert_signed_with_key(&environment).await;
}

#[tokio::test]
async fn a_web_identity() {
    let Some(test) = ChainTest::new("a_web_identity").await else { return };
    let token = test.file("token", "header.payload.signature");
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_ENDPOINT_URL_STS", &test.url()),
    ];
    test.assert_signed_with_key(&environment).await;
}

#[tokio::test]
async fn a_container() {
    let Some(test) = ChainTest::new("a_container").await else { return };
    let url = format!("{}/container", test.url());
    test.assert_signed_with_key(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]).await;
}

#[tokio::test]
async fn an_instance_and_its_region() {
    let Some(test) = ChainTest::new("an_instance_and_its_region").await else { return };
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*test.url()), ("AWS_REGION", "")];
    test.assert_signed_with_key(&environment).await;
}

#[tokio::test]
async fn a_chain_without_credentials_is_an_authentication_failure() {
    let Some(test) = ChainTest::new("a_chain_without_credentials_is_an_authentication_failure").await else {
        return;
    };
    let outcome = test.outcome(&[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert!(
        outcome.starts_with("AuthenticationFailed") && outcome.contains("no AWS credentials were found"),
        "{outcome}"
    );
    assert!(test.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_failed_source_is_reported_with_its_reason() {
    let Some(test) = ChainTest::new("a_failed_source_is_reported_with_its_reason").await else { return };
    let file = test.file("config", "[default]\ncredential_process = cat /does/not/exist\n");
    let outcome = test.outcome(&[("AWS_CONFIG_FILE", &*file)]).await;
    assert!(outcome.starts_with("AuthenticationFailed") && outcome.contains("No such file"), "{outcome}");
}

#[tokio::test]
async fn a_missing_region_is_an_invalid_request() {
    let Some(test) = ChainTest::new("a_missing_region_is_an_invalid_request").await else { return };
    let environment = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "")];
    let outcome = test.outcome(&environment).await;
    assert!(
        outcome.starts_with("InvalidRequest") && outcome.contains("no AWS region is configured"),
        "{outcome}"
    );
}
