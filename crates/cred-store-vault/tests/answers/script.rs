//! A scripted Vault.

use std::time::Duration;

use cred_store_vault::VaultConfig;
use cred_testing::http::{Answer, Server};
use cred_testing::value::hasty;

/// A response that closes the connection, so that each request opens a new one.
pub(crate) fn respond(status: u16, body: &str) -> Answer {
    Answer::new(status, body).with_header("Connection: close")
}

/// The refusal of a policy.
pub(crate) fn denied() -> Answer {
    respond(403, r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#)
}

/// The response to a login or a renewal.
pub(crate) fn granted(seconds: u64, renewable: bool) -> Answer {
    let auth =
        format!(r#"{{"client_token":"hvs.of-a-login","lease_duration":{seconds},"renewable":{renewable}}}"#);
    respond(200, &format!(r#"{{"auth":{auth}}}"#))
}

pub(crate) struct Script(pub(crate) Server);

impl Script {
    /// `answer` gets the method and path of a request, and the number of earlier ones like it.
    pub(crate) async fn start(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self(Server::start(move |request| answer(request.line(), request.repeats)).await)
    }

    /// The number of requests with this method and a path that ends like this.
    pub(crate) fn asked(&self, method: &str, end: &str) -> usize {
        self.0.asked().iter().filter(|line| line.starts_with(method) && line.ends_with(end)).count()
    }

    pub(crate) fn config(&self) -> VaultConfig {
        VaultConfig::default()
            .with_address(self.0.url())
            .with_timeout(Duration::from_secs(5))
            .with_operation_timeout(Duration::from_secs(20))
            .with_retry_policy(hasty())
    }
}
