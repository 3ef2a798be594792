use cred_testing::process::has_env;

use super::*;

fn good() -> VaultConfig {
    VaultConfig::default().with_auth_method(VaultAuthMethod::token("t0ken".into()))
}

fn problem(config: &VaultConfig) -> String {
    config.validate().unwrap_err().to_string()
}

#[test]
fn an_invalid_field_is_named() {
    assert!(good().validate().is_ok());
    for (wrong, field) in [
        (VaultConfig::from_env_with(&MapEnv::default()), "auth_method.token"),
        (good().with_auth_method(VaultAuthMethod::token("t0ken\n".into())), "auth_method.token"),
        (good().with_auth_method(VaultAuthMethod::app_role("", "s".into())), "auth_method.role_id"),
        (good().with_address("vault:8200"), "address"),
        (good().with_address("ftp://vault"), "address"),
        (good().with_address("https://vault/path"), "address"),
        (good().with_address("https://user:hunter2@vault"), "address"),
        (good().with_address("https://vault?x=1"), "address"),
        (good().with_address("http://vault.example.com:8200"), "address"),
        (good().with_address("https://vault").with_tls_verify(false), "tls_verify"),
        (good().with_mount_path("/secret"), "mount_path"),
        (good().with_mount_path("secret/"), "mount_path"),
        (good().with_mount_path("a/../b"), "mount_path"),
        (good().with_mount_path(""), "mount_path"),
        (good().with_path_prefix("/a"), "path_prefix"),
        (good().with_path_prefix("a//b"), "path_prefix"),
        (good().with_path_prefix("a/.."), "path_prefix"),
        (good().with_path_prefix("a/org:acme"), "path_prefix"),
        (good().with_namespace("a\r\nX-Evil: 1"), "namespace"),
        (good().with_timeout(Duration::from_millis(999)), "timeout"),
        (good().with_timeout(Duration::from_secs(61)), "timeout"),
        (good().with_operation_timeout(Duration::ZERO), "operation_timeout"),
        (good().with_operation_timeout(Duration::from_secs(601)), "operation_timeout"),
        (good().with_token_renewal_threshold(Duration::ZERO), "token_renewal_threshold"),
        (good().with_max_payload_len(4_095), "max_payload_len"),
        (good().with_max_payload_len((32 << 20) + 1), "max_payload_len"),
        (good().with_ca_cert("/does/not/exist.pem"), "ca_cert"),
        (good().with_retry_budget(9), "retry_budget"),
        (good().with_retry_budget(1_000_001), "retry_budget"),
        (good().with_retry_policy(RetryPolicy::default().with_max_retries(11)), "max_retries"),
    ] {
        assert_eq!(wrong.validate().unwrap_err().field(), field, "{wrong:?}");
    }
    assert!(!problem(&good().with_address("https://user:hunter2@vault")).contains("hunter2"));
}

#[test]
fn tls_verify_is_needed_for_https_and_has_no_effect_with_http() {
    let https = good().with_address("https://vault.example.com");
    assert!(https.validate().is_ok(), "true is the default");
    let problem = problem(&https.with_tls_verify(false));
    for part in ["`tls_verify` is false with https", "set it to true", "`ca_cert`"] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    for address in ["http://localhost:8200", "http://vault.example.com:8200"] {
        for tls_verify in [true, false] {
            let http = good().with_address(address).with_allow_http(true).with_tls_verify(tls_verify);
            assert!(http.validate().is_ok(), "{address} {tls_verify}");
            let refused = http.with_allow_http(false).validate().map_err(|error| error.field().to_owned());
            match address.contains("localhost") {
                true => assert_eq!(refused, Ok(())),
                false => assert_eq!(
                    refused,
                    Err("address".to_owned()),
                    "`tls_verify` = {tls_verify} does not replace `allow_http`"
                ),
            }
        }
    }
}

#[test]
fn valid_values_are_accepted() {
    for valid in [
        good().with_address("https://vault.example.com"),
        good().with_address("https://[::1]:8200/"),
        good().with_address("http://localhost:8200"),
        good().with_address("http://[::1]:8200"),
        good().with_address("http://vault:8200").with_allow_http(true),
        good().with_tls_verify(false),
        good().with_mount_path("team/kv"),
        good().with_path_prefix(""),
        good().with_path_prefix("a/b/"),
        good().with_namespace("org1/team-a/"),
        good().with_auth_method(VaultAuthMethod::app_role("role", "".into())),
    ] {
        assert!(valid.validate().is_ok(), "{valid:?}");
    }
}

#[test]
fn a_file_is_parsed_and_unknown_fields_are_refused() {
    let read = |text: &str| serde_json::from_str::<VaultConfig>(text);
    let config = read(
        r#"{"address":"https://v","auth_method":{"app_role":{"role_id":"r","secret_id":"s"}},"timeout":"2s",
            "delete_mode":"soft"}"#,
    )
    .unwrap();
    assert_eq!((config.timeout, config.delete_mode), (Duration::from_secs(2), VaultDeleteMode::Soft));
    assert!(
        matches!(config.auth_method, VaultAuthMethod::AppRole { mount_path, .. } if mount_path == "approle")
    );
    for wrong in [r#"{"adress":"x"}"#, r#"{"timeout":5}"#, r#"{"auth_method":{"token":{"tokn":"x"}}}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_environment_changes_the_defaults() {
    let env = MapEnv::from([
        ("VAULT_ADDR", "https://v"),
        ("VAULT_TOKEN", "hunter2"),
        ("VAULT_NAMESPACE", ""),
        ("VAULT_CACERT", "/ca.pem"),
        ("VAULT_SKIP_VERIFY", ""),
    ]);
    let config = VaultConfig::from_env_with(&env);
    assert_eq!(config.address, "https://v");
    assert_eq!((config.namespace, config.tls_verify), (None, true));
    assert_eq!(config.ca_cert, Some(PathBuf::from("/ca.pem")));
    assert!(
        matches!(config.auth_method, VaultAuthMethod::Token { token } if token.expose_secret() == "hunter2")
    );
}

#[test]
fn debug_output_does_not_contain_secrets() {
    for method in
        [VaultAuthMethod::token("hunter2".into()), VaultAuthMethod::app_role("hunter2", "hunter2".into())]
    {
        let printed = format!("{:?} {:#?}", good().with_auth_method(method.clone()), method);
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}

#[test]
fn the_environment_of_the_process_is_read() {
    let variables = [
        ("VAULT_ADDR", "https://v"),
        ("VAULT_TOKEN", "t0ken"),
        ("VAULT_NAMESPACE", "team"),
        ("VAULT_CACERT", "/ca.pem"),
    ];
    if !has_env("config::tests::the_environment_of_the_process_is_read", &variables) {
        return;
    }
    let config = VaultConfig::from_env();
    assert_eq!((config.address.as_str(), config.namespace.as_deref()), ("https://v", Some("team")));
    assert_eq!(config.ca_cert, Some(PathBuf::from("/ca.pem")));

    let config = VaultConfig::default();
    assert_eq!((config.address.as_str(), config.namespace.as_deref()), ("https://v", Some("team")));
    assert!(
        matches!(config.auth_method, VaultAuthMethod::Token { token } if token.expose_secret() == "t0ken")
    );
    assert_eq!(config.ca_cert, None);

    let config: VaultConfig = serde_json::from_str("{}").unwrap();
    assert_eq!((config.address.as_str(), config.namespace), ("http://127.0.0.1:8200", None));
    assert!(
        matches!(config.auth_method, VaultAuthMethod::Token { token } if token.expose_secret().is_empty())
    );
}

#[tokio::test]
async fn the_retry_budget_is_passed_to_the_executor() {
    let provider = crate::HashiCorpVaultProvider::new(good().with_retry_budget(77)).unwrap();
    assert!(format!("{provider:?}").contains("capacity: 77"), "{provider:?}");
}
