use cred_testing::process::has_env;

use super::*;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "66666666-7777-8888-9999-AAAAaaaaffff";

fn good() -> AzureKeyVaultConfig {
    AzureKeyVaultConfig::default().with_vault_url("https://my-vault.vault.azure.net/")
}

fn principal(tenant: &str, client: &str, secret: &str) -> AzureCredentialType {
    AzureCredentialType::service_principal(tenant, client, secret.into())
}

#[test]
fn an_invalid_field_is_named() {
    let tags = |count: usize| (0..count).map(|n| (n.to_string(), String::new())).collect::<BTreeMap<_, _>>();
    let tag = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    for (wrong, field) in [
        (good().with_vault_url("http://my-vault.vault.azure.net"), "vault_url"),
        (AzureKeyVaultConfig::from_env_with(&MapEnv::default()), "vault_url"),
        (good().with_vault_url("https://EXAMPLE.vault.azure.net"), "vault_url"),
        (good().with_vault_url("https://evil/.vault.azure.net"), "vault_url"),
        (good().with_vault_url("https://localhost:8443"), "vault_url"),
        (good().with_vault_url("https://user:hunter2@my-vault.vault.azure.net"), "vault_url"),
        (good().with_authority_host("http://login.example"), "authority_host"),
        (good().with_credential_type(principal("tenant", CLIENT, "s")), "credential_type.tenant_id"),
        (good().with_credential_type(principal(TENANT, "client", "s")), "credential_type.client_id"),
        (good().with_credential_type(principal(TENANT, CLIENT, " ")), "credential_type.client_secret"),
        (
            good().with_credential_type(AzureCredentialType::ManagedIdentity {
                client_id: Some("x".to_owned()),
            }),
            "credential_type.client_id",
        ),
        (good().with_secret_prefix("a_b"), "secret_prefix"),
        (good().with_secret_prefix("p".repeat(74)), "secret_prefix"),
        (good().with_default_tags(tags(12)), "default_tags"),
        (good().with_default_tags(tag("", "v")), "default_tags"),
        (good().with_default_tags(tag("k", &"v".repeat(257))), "default_tags"),
        (good().with_default_tags(tag("cred-path-0", "v")), "default_tags"),
        (good().with_timeout(Duration::from_millis(999)), "timeout"),
        (good().with_timeout(Duration::from_secs(61)), "timeout"),
        (good().with_operation_timeout(Duration::ZERO), "operation_timeout"),
        (good().with_operation_timeout(Duration::from_secs(601)), "operation_timeout"),
        (good().with_ca_cert("/does/not/exist.pem"), "ca_cert"),
        (good().with_retry_budget(9), "retry_budget"),
        (good().with_retry_budget(1_000_001), "retry_budget"),
        (good().with_retry_policy(RetryPolicy::default().with_max_retries(11)), "max_retries"),
    ] {
        let error = wrong.validate().unwrap_err();
        assert_eq!(error.field(), field, "{wrong:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn the_placeholder_address_is_refused() {
    let error = AzureKeyVaultConfig::from_env_with(&MapEnv::default()).validate().unwrap_err();
    assert!(error.to_string().contains("set it to the address of your vault"), "{error}");
    assert!(AzureKeyVaultConfig::default().check().is_ok(), "a client brings its own address");
}

#[test]
fn valid_values_are_accepted() {
    for right in [
        good(),
        good().with_vault_url("https://my-vault.vault.azure.cn"),
        good().with_vault_url("https://localhost:8443").with_allowed_host("LOCALHOST"),
        good().with_credential_type(principal(TENANT, CLIENT, "s")),
        good().with_credential_type(AzureCredentialType::DeveloperTools),
        good().with_authority_host("https://login.microsoftonline.us/"),
        good().with_secret_prefix(""),
        good().with_secret_prefix("P".repeat(73)),
    ] {
        assert!(right.validate().is_ok(), "{right:?}");
    }
}

#[test]
fn a_file_is_parsed_and_unknown_fields_are_refused() {
    let read = |text: &str| serde_json::from_str::<AzureKeyVaultConfig>(text);
    let text = format!(
        r#"{{"vault_url":"https://v.vault.azure.net","timeout":"2s","over_deleted":"purge","credential_type":
            {{"service_principal":{{"tenant_id":"{TENANT}","client_id":"{CLIENT}","client_secret":"s"}}}}}}"#
    );
    let config = read(&text).unwrap();
    assert_eq!((config.timeout, config.over_deleted), (Duration::from_secs(2), AzureOverDeleted::Purge));
    assert_eq!(config.credential_type, principal(TENANT, CLIENT, "s"));
    let config = read(r#"{"credential_type":"developer_tools"}"#).unwrap();
    assert_eq!(config.credential_type, AzureCredentialType::DeveloperTools);
    for wrong in
        [r#"{"vault":"x"}"#, r#"{"timeout":5}"#, r#"{"credential_type":{"managed_identity":{"id":"x"}}}"#]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn variables_select_the_vault_and_the_identity() {
    let env = MapEnv::from([
        ("AZURE_KEYVAULT_URL", "https://v.vault.azure.net"),
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_AUTHORITY_HOST", ""),
    ]);
    let config = AzureKeyVaultConfig::from_env_with(&env);
    assert_eq!(config.vault_url, "https://v.vault.azure.net");
    assert_eq!(config.authority_host, None);
    assert_eq!(config.credential_type, principal(TENANT, CLIENT, "s"));
    let config = AzureKeyVaultConfig::from_env_with(&MapEnv::from([("AZURE_CLIENT_ID", CLIENT)]));
    let identity = AzureCredentialType::ManagedIdentity { client_id: Some(CLIENT.to_owned()) };
    assert_eq!(config.credential_type, identity);
}

#[test]
fn identities_are_equal_if_all_fields_are() {
    let one = principal(TENANT, CLIENT, "s");
    assert_eq!(one, one.clone());
    for other in [
        principal(CLIENT, CLIENT, "s"),
        principal(TENANT, TENANT, "s"),
        principal(TENANT, CLIENT, "t"),
        principal(TENANT, CLIENT, "ss"),
        AzureCredentialType::DeveloperTools,
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn no_secret_is_printed() {
    let method = principal(TENANT, CLIENT, "hunter2");
    let printed = format!("{:?} {:#?}", good().with_credential_type(method.clone()), method);
    assert!(!printed.contains("hunter2") && printed.contains(CLIENT), "{printed}");
}

#[test]
fn the_process_environment_is_read() {
    let variables = [("AZURE_KEYVAULT_URL", "https://v.vault.azure.net"), ("AZURE_CLIENT_ID", CLIENT)];
    if !has_env("config::tests::the_process_environment_is_read", &variables) {
        return;
    }
    let config = AzureKeyVaultConfig::from_env();
    assert_eq!(config.vault_url, "https://v.vault.azure.net");
    let identity = AzureCredentialType::ManagedIdentity { client_id: Some(CLIENT.to_owned()) };
    assert_eq!(config.credential_type, identity);

    let config = AzureKeyVaultConfig::default();
    assert_eq!(config.vault_url, "https://v.vault.azure.net");
    assert_eq!(config.credential_type, AzureCredentialType::ManagedIdentity { client_id: None });
    let config: AzureKeyVaultConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(config.vault_url, PLACEHOLDER);
}

#[tokio::test]
async fn the_retry_budget_is_passed_to_the_executor() {
    let provider = crate::AzureKeyVaultProvider::new(good().with_retry_budget(77)).unwrap();
    assert!(format!("{provider:?}").contains("capacity: 77"), "{provider:?}");
}
