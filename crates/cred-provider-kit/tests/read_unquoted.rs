//! A configuration with secrets, deserialized as a remote type that derives `Deserialize`.
#![cfg(test)]

use cred_core::{ExposeSecret, SecretString};
use serde::Deserialize;

struct Config {
    login: Login,
    attempts: u8,
}

enum Login {
    Anonymous,
    Token { token: SecretString },
}

#[derive(Deserialize)]
#[serde(remote = "Config", deny_unknown_fields)]
struct ConfigFields {
    login: Login,
    attempts: u8,
}

#[derive(Deserialize)]
#[serde(remote = "Login", rename_all = "snake_case", deny_unknown_fields)]
enum LoginFields {
    Anonymous,
    Token { token: SecretString },
}

cred_provider_kit::read_unquoted! {
    Config as ConfigFields;
    Login as LoginFields;
}

#[test]
fn a_configuration_is_read_as_its_remote_type() {
    let config: Config =
        serde_json::from_str(r#"{"login":{"token":{"token":"hunter2"}},"attempts":2}"#).unwrap();
    assert!(matches!(config.login, Login::Token { token } if token.expose_secret() == "hunter2"));
    assert_eq!(config.attempts, 2);
    let login: Login = serde_json::from_str(r#""anonymous""#).unwrap();
    assert!(matches!(login, Login::Anonymous));
}

#[test]
fn an_error_of_the_outer_or_the_inner_type_repeats_no_secret() {
    for text in [
        r#"{"login":{"token":"hunter2"},"attempts":2}"#,
        r#"{"login":"hunter2","attempts":2}"#,
        r#"{"login":"anonymous","attempts":"hunter2"}"#,
        r#"{"login":"anonymous","hunter2":2}"#,
    ] {
        let error = serde_json::from_str::<Config>(text).err().unwrap().to_string();
        assert!(error.contains("expected") && !error.contains("hunter2"), "{text}: {error}");
    }
    let error = serde_json::from_str::<Login>(r#"{"token":"hunter2"}"#).err().unwrap().to_string();
    assert!(error.contains("expected") && !error.contains("hunter2"), "{error}");
}
