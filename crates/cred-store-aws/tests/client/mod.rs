//! An SDK client for a server, with unique credentials that a test can search for.

use std::net::SocketAddr;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};

pub(crate) const ACCESS_KEY: &str = "AKIA7Q2HUNTERHUNTER2";
pub(crate) const SECRET_KEY: &str = "hunter2/Secret+Access0Key7hunter2hunter2";
pub(crate) const SESSION_TOKEN: &str = "hunter2SessionToken//hunter2hunter2hunter2hunter2hunter2==";

pub(crate) fn sdk(through: SocketAddr) -> Client {
    let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, Some(SESSION_TOKEN.to_owned()), None, "tests");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .endpoint_url(format!("http://{through}"))
        .credentials_provider(credentials);
    Client::from_conf(config.build())
}
