//! The sources of credentials in AWS's default chain, each in a process that has no other.
//!
//! Each test starts itself again in a process with its own environment, since all tests of this
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
const FAR: &str = "2099-01-01T00:00:00Z";

/// Everything that the chain could ask, and a Secrets Manager that notes which key asks.
struct World {
    test: &'static str,
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
    home: TempDir,
}

impl World {
    /// `None`: this is the process that a test has started, and it has made its read.
    async fn new(test: &'static str) -> Option<Self> {
        if std::env::var_os(CHILD).is_some() {
            read().await;
            return None;
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let server = Server::start(move |request| {
            if let (Some(_), Some(signature)) =
                (request.header("x-amz-target"), request.header("authorization"))
            {
                let key = signature.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
                noted.lock().unwrap().push(key.unwrap().to_owned());
                return Answer::new(200, stored("nebula/credentials/key"));
            }
            link(request)
        })
        .await;
        Some(Self { test, server, seen, home: tempfile::tempdir().unwrap() })
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn url(&self) -> String {
        self.server.url()
    }

    /// Starts the test again with this environment; returns what its read gave.
    async fn outcome(&self, environment: &[(&str, &str)]) -> String {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("chain::{}", self.test), "--nocapture"]).env_clear().env(CHILD, "1");
        child.env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        child.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.url()).env("AWS_REGION", "eu-central-1");
        for (name, value) in environment {
            match value.is_empty() {
                true => child.env_remove(name),
                false => child.env(name, value),
            };
        }
        let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let outcome =
            said.lines().find_map(|line| line.split_once("outcome: ")).unwrap_or_else(|| panic!("{said}"));
        outcome.1.to_owned()
    }

    async fn asks_as_the_key(&self, environment: &[(&str, &str)]) {
        assert_eq!(self.outcome(environment).await, "Ok");
        assert_eq!(*self.seen.lock().unwrap(), [KEY]);
    }
}

/// What the sources of credentials answer.
fn link(request: &Request) -> Answer {
    let keys = json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": KEY,
        "SecretAccessKey": "secret", "Token": "token", "Expiration": FAR,
    });
    let sso = json!({"roleCredentials": {
        "accessKeyId": KEY, "secretAccessKey": "secret", "sessionToken": "token", "expiration": 4_070_908_800_000_u64,
    }});
    let sts = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEY}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>{FAR}</Expiration>\
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

/// What the other process does: one read, with the credentials that the chain finds.
async fn read() {
    let config = AwsSecretsManagerConfig::from_env();
    let provider = AwsSecretsManagerProvider::new(config).unwrap();
    let answer = provider.retrieve(&id("key"), &unscoped()).await;
    // A line of its own, behind whatever the test runner has begun.
    println!(
        "\noutcome: {}",
        answer.map_or_else(|error| format!("{} {error}", kind(&error)), |_| "Ok".into())
    );
}

#[tokio::test]
async fn keys_of_the_environment() {
    let Some(world) = World::new("keys_of_the_environment").await else { return };
    let keys = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "secret")];
    world.asks_as_the_key(&keys).await;
}

#[tokio::test]
async fn a_profile_and_its_region() {
    let Some(world) = World::new("a_profile_and_its_region").await else { return };
    let text = format!(
        "[profile app]\nregion = eu-west-1\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n"
    );
    let file = world.file("config", &text);
    let environment = [("AWS_CONFIG_FILE", &*file), ("AWS_PROFILE", "app"), ("AWS_REGION", "")];
    world.asks_as_the_key(&environment).await;
}

#[tokio::test]
async fn a_process_that_gives_them() {
    let Some(world) = World::new("a_process_that_gives_them").await else { return };
    let keys = json!({"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": "secret"});
    let keys = world.file("keys.json", &keys.to_string());
    let file = world.file("config", &format!("[default]\ncredential_process = cat {keys}\n"));
    world.asks_as_the_key(&[("AWS_CONFIG_FILE", &file)]).await;
}

#[tokio::test]
async fn a_login_by_sso() {
    let Some(world) = World::new("a_login_by_sso").await else { return };
    let text = "[default]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = app\n\
                [sso-session s]\nsso_region = eu-central-1\nsso_start_url = https://example.awsapps.com/start\n";
    let file = world.file("config", text);
    let token = json!({
        "accessToken": "token", "expiresAt": FAR, "region": "eu-central-1",
        "startUrl": "https://example.awsapps.com/start",
    });
    // SHA-1 of the session's name.
    world.file(".aws/sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json", &token.to_string());
    let environment = [("AWS_CONFIG_FILE", &*file), ("AWS_ENDPOINT_URL_SSO", &world.url())];
    world.asks_as_the_key(&environment).await;
}

#[tokio::test]
async fn a_web_identity() {
    let Some(world) = World::new("a_web_identity").await else { return };
    let token = world.file("token", "header.payload.signature");
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_ENDPOINT_URL_STS", &world.url()),
    ];
    world.asks_as_the_key(&environment).await;
}

#[tokio::test]
async fn a_container() {
    let Some(world) = World::new("a_container").await else { return };
    let url = format!("{}/container", world.url());
    world.asks_as_the_key(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]).await;
}

#[tokio::test]
async fn an_instance_and_its_region() {
    let Some(world) = World::new("an_instance_and_its_region").await else { return };
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*world.url()), ("AWS_REGION", "")];
    world.asks_as_the_key(&environment).await;
}

#[tokio::test]
async fn nobody_is_an_authentication_that_failed() {
    let Some(world) = World::new("nobody_is_an_authentication_that_failed").await else { return };
    let outcome = world.outcome(&[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert!(
        outcome.starts_with("AuthenticationFailed") && outcome.contains("no AWS credentials were found"),
        "{outcome}"
    );
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_source_that_fails_is_told_with_its_reason() {
    let Some(world) = World::new("a_source_that_fails_is_told_with_its_reason").await else { return };
    let file = world.file("config", "[default]\ncredential_process = cat /does/not/exist\n");
    let outcome = world.outcome(&[("AWS_CONFIG_FILE", &*file)]).await;
    assert!(outcome.starts_with("AuthenticationFailed") && outcome.contains("No such file"), "{outcome}");
}

#[tokio::test]
async fn nowhere_is_a_request_that_is_invalid() {
    let Some(world) = World::new("nowhere_is_a_request_that_is_invalid").await else { return };
    let environment = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "")];
    let outcome = world.outcome(&environment).await;
    assert!(outcome.starts_with("InvalidRequest") && outcome.contains("no region is known"), "{outcome}");
}
