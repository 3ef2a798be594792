//! Who asks: AWS's own chain, each link of it, in a process that has nothing else.
//!
//! Each test starts itself anew with an environment of its own, since that of this process is everybody's.
#![allow(clippy::print_stdout, reason = "this is how a test tells the one that started it")]

use std::process::Command;
use std::sync::{Arc, Mutex};

use cred_core::{CredentialContext, StorageProvider};
use cred_provider_kit::ProcessEnv;
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use serde_json::json;
use tempfile::TempDir;

use crate::client::id;
use crate::http::{Answer, Request, Server};
use crate::server::{kind, stored};

const CHILD: &str = "CRED_TEST_CHAIN_CHILD";
const KEY: &str = "AKIA0000000000000042";
const FAR: &str = "2099-01-01T00:00:00Z";

/// Everything that the chain could ask, and Secrets Manager, which notes who asks.
struct World {
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
    home: TempDir,
}

impl World {
    async fn new() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let server = Server::new(move |request| {
            if let (Some(_), Some(signature)) =
                (request.header("x-amz-target"), request.header("authorization"))
            {
                let key = signature.split("Credential=").nth(1).and_then(|rest| rest.split('/').next());
                noted.lock().unwrap().push(key.unwrap().to_owned());
                return (200, stored("nebula/credentials/key").to_string());
            }
            link(request)
        })
        .await;
        Self { server, seen, home: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Starts the test anew with this environment; what it says of its read.
    async fn told(&self, test: &str, environment: &[(&str, &str)]) -> String {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", &format!("chain::{test}"), "--nocapture"]).env_clear().env(CHILD, "1");
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
        let told =
            said.lines().find_map(|line| line.split_once("told: ")).unwrap_or_else(|| panic!("{said}"));
        told.1.to_owned()
    }

    async fn asks_as_the_key(&self, test: &str, environment: &[(&str, &str)]) {
        assert_eq!(self.told(test, environment).await, "Ok");
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
        "PUT /latest/api/token" => (200, "token".into()),
        "GET /latest/meta-data/placement/region" => (200, "eu-central-1".into()),
        "GET /latest/meta-data/iam/security-credentials/" => (200, "app".into()),
        "GET /latest/meta-data/iam/security-credentials/app" | "GET /container" => (200, keys.to_string()),
        line if line.starts_with("GET /federation/credentials") => (200, sso.to_string()),
        "POST /" => (200, sts),
        _ => (404, String::new()),
    }
}

/// What the child does: one read, as whoever the chain finds.
async fn read() {
    let config = AwsSecretsManagerConfig::from_env(&ProcessEnv);
    let provider = AwsSecretsManagerProvider::new(config).unwrap();
    let answer = provider.retrieve(&id("key"), &CredentialContext::unscoped()).await;
    // A line of its own, behind whatever the test runner has begun.
    println!("\ntold: {}", answer.map_or_else(|error| format!("{} {error}", kind(&error)), |_| "Ok".into()));
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[tokio::test]
async fn keys_of_the_environment() {
    if is_child() {
        return read().await;
    }
    let keys = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "secret")];
    World::new().await.asks_as_the_key("keys_of_the_environment", &keys).await;
}

#[tokio::test]
async fn a_profile_and_its_region() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let text = format!(
        "[profile app]\nregion = eu-west-1\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n"
    );
    let file = world.file("config", &text);
    let environment = [("AWS_CONFIG_FILE", &*file), ("AWS_PROFILE", "app"), ("AWS_REGION", "")];
    world.asks_as_the_key("a_profile_and_its_region", &environment).await;
}

#[tokio::test]
async fn a_process_that_gives_them() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let keys = json!({"Version": 1, "AccessKeyId": KEY, "SecretAccessKey": "secret"});
    let keys = world.file("keys.json", &keys.to_string());
    let file = world.file("config", &format!("[default]\ncredential_process = cat {keys}\n"));
    world.asks_as_the_key("a_process_that_gives_them", &[("AWS_CONFIG_FILE", &file)]).await;
}

#[tokio::test]
async fn a_login_by_sso() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
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
    world.asks_as_the_key("a_login_by_sso", &environment).await;
}

#[tokio::test]
async fn a_web_identity() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let token = world.file("token", "header.payload.signature");
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_ENDPOINT_URL_STS", &world.url()),
    ];
    world.asks_as_the_key("a_web_identity", &environment).await;
}

#[tokio::test]
async fn a_container() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let url = format!("{}/container", world.url());
    world.asks_as_the_key("a_container", &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]).await;
}

#[tokio::test]
async fn an_instance_and_its_region() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let environment = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*world.url()), ("AWS_REGION", "")];
    world.asks_as_the_key("an_instance_and_its_region", &environment).await;
}

#[tokio::test]
async fn nobody_is_an_authentication_that_failed() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let told =
        world.told("nobody_is_an_authentication_that_failed", &[("AWS_EC2_METADATA_DISABLED", "true")]).await;
    assert!(
        told.starts_with("AuthenticationFailed") && told.contains("no AWS credentials were found"),
        "{told}"
    );
    assert!(world.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_source_that_fails_is_told_with_its_reason() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let file = world.file("config", "[default]\ncredential_process = cat /does/not/exist\n");
    let told =
        world.told("a_source_that_fails_is_told_with_its_reason", &[("AWS_CONFIG_FILE", &*file)]).await;
    assert!(told.starts_with("AuthenticationFailed") && told.contains("No such file"), "{told}");
}

#[tokio::test]
async fn nowhere_is_a_request_that_is_invalid() {
    if is_child() {
        return read().await;
    }
    let world = World::new().await;
    let environment = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "")];
    let told = world.told("nowhere_is_a_request_that_is_invalid", &environment).await;
    assert!(told.starts_with("InvalidRequest") && told.contains("no region is known"), "{told}");
}
