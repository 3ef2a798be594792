use cred_provider_kit::MapEnv;
use cred_testing::process::has_env;

use super::*;

fn defaults() -> AwsSecretsManagerConfig {
    AwsSecretsManagerConfig::default()
}

fn tags(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn endpoint(url: &str) -> AwsSecretsManagerConfig {
    defaults().with_endpoint_url(url)
}

#[test]
fn an_invalid_field_is_named() {
    assert!(defaults().validate().is_ok());
    let key = |key: &str| defaults().with_kms_key_id(key);
    let many: BTreeMap<_, _> = (0..51).map(|number| (format!("t{number}"), String::new())).collect();
    for (wrong, field) in [
        (defaults().with_region("Frankfurt"), "region"),
        (defaults().with_region("eu-central"), "region"),
        (defaults().with_region("eu-central-1\r\nx"), "region"),
        (defaults().with_profile(""), "profile"),
        (endpoint("vpce.example.com"), "endpoint_url"),
        (endpoint("ftp://vpce.example.com"), "endpoint_url"),
        (endpoint("https://user:hunter2@vpce.example.com"), "endpoint_url"),
        (endpoint("https://vpce.example.com/path"), "endpoint_url"),
        (endpoint("https://vpce.example.com?x=1"), "endpoint_url"),
        (endpoint("http://vpce.example.com"), "endpoint_url"),
        (defaults().with_secret_prefix("a:b/"), "secret_prefix"),
        (defaults().with_secret_prefix("a b"), "secret_prefix"),
        (defaults().with_secret_prefix("a/org=x/"), "secret_prefix"),
        (defaults().with_secret_prefix("p".repeat(458)), "secret_prefix"),
        (defaults().with_timeout(Duration::from_millis(999)), "timeout"),
        (defaults().with_timeout(Duration::from_secs(61)), "timeout"),
        (defaults().with_operation_timeout(Duration::ZERO), "operation_timeout"),
        (defaults().with_operation_timeout(Duration::from_secs(601)), "operation_timeout"),
        (key("credentials"), "kms_key_id"),
        (key("alias/"), "kms_key_id"),
        (key("arn:aws:kms:eu-central-1:1234:key/1"), "kms_key_id"),
        (key("arn:aws:s3:eu-central-1:123456789012:key/1"), "kms_key_id"),
        (defaults().with_default_tags(tags(&[("aws:x", "")])), "default_tags"),
        (defaults().with_default_tags(tags(&[("", "")])), "default_tags"),
        (defaults().with_default_tags(tags(&[("a!", "")])), "default_tags"),
        (defaults().with_default_tags(many), "default_tags"),
        (defaults().with_recovery_window_days(6), "recovery_window_days"),
        (defaults().with_recovery_window_days(31), "recovery_window_days"),
        (defaults().with_read_lag(Duration::from_secs(3_601)), "read_lag"),
        (defaults().with_list_lag(Duration::from_secs(3_601)), "list_lag"),
        (defaults().with_retry_budget(9), "retry_budget"),
        (defaults().with_retry_budget(1_000_001), "retry_budget"),
        (defaults().with_retry_policy(RetryPolicy::default().with_max_retries(11)), "max_retries"),
    ] {
        assert_eq!(wrong.validate().unwrap_err().field(), field, "{wrong:?}");
    }
    let refused = endpoint("https://user:hunter2@vpce.example.com").validate().unwrap_err();
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}

#[test]
fn valid_values_are_accepted() {
    let key = |key: &str| defaults().with_kms_key_id(key);
    for right in [
        defaults().with_region("us-gov-west-1"),
        defaults().with_region("cn-north-1"),
        endpoint("https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"),
        endpoint("http://localhost:5000/"),
        endpoint("http://[::1]:5000"),
        endpoint("http://moto:5000").with_allow_http(true),
        defaults().with_secret_prefix(""),
        defaults().with_secret_prefix("app"),
        defaults().with_secret_prefix("a/b+c.d.e@f-"),
        key("alias/credentials"),
        key("arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
        key("arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/credentials"),
        defaults().with_default_tags([("team", "payments")]),
        defaults().with_recovery_window_days(7),
        defaults().with_recovery_window_days(None),
    ] {
        assert!(right.validate().is_ok(), "{right:?}");
    }
}

#[test]
fn a_prefix_ends_with_a_slash_unless_it_is_empty() {
    assert_eq!(defaults().with_secret_prefix("app").names().unwrap().prefix(), "app/");
    assert_eq!(defaults().names().unwrap().prefix(), "nebula/credentials/");
    assert_eq!(defaults().with_secret_prefix("").names().unwrap().prefix(), "");
}

#[test]
fn without_lags_the_consistency_is_strong() {
    let none = defaults().with_read_lag(Duration::ZERO).with_list_lag(Duration::ZERO);
    assert_eq!(none.consistency(), Consistency::Strong);
    let lists = defaults().with_read_lag(Duration::ZERO).consistency();
    assert_eq!((lists.point(), lists.list()), (Duration::ZERO, Duration::from_secs(300)));
}

#[test]
fn a_file_is_parsed_and_unknown_fields_are_refused() {
    let read = |text: &str| serde_json::from_str::<AwsSecretsManagerConfig>(text);
    let config = read(
        r#"{"region":"eu-central-1","timeout":"2s","recovery_window_days":null,"over_deleted":"refuse",
            "default_tags":{"team":"payments"},"read_lag":"10s"}"#,
    )
    .unwrap();
    let expected = defaults()
        .with_region("eu-central-1")
        .with_timeout(Duration::from_secs(2))
        .with_recovery_window_days(None)
        .with_over_deleted(AwsOverDeleted::Refuse)
        .with_default_tags(tags(&[("team", "payments")]))
        .with_read_lag(Duration::from_secs(10));
    assert_eq!(config, expected);
    for none in ["0", "null"] {
        let config = read(&format!(r#"{{"recovery_window_days":{none}}}"#)).unwrap();
        assert_eq!(config.recovery_window_days, None, "{none}");
    }
    assert_eq!(read("{}").unwrap().recovery_window_days, Some(30));
    for wrong in [r#"{"regoin":"x"}"#, r#"{"timeout":5}"#, r#"{"over_deleted":"purge"}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn variables_set_region_profile_and_endpoint() {
    let env = MapEnv::from([
        ("AWS_REGION", ""),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_PROFILE", "app"),
        ("AWS_ENDPOINT_URL", "http://localhost:5000"),
    ]);
    let config = AwsSecretsManagerConfig::from_env_with(&env);
    assert_eq!(config.region.as_deref(), Some("eu-west-1"));
    assert_eq!(config.profile.as_deref(), Some("app"));
    assert_eq!(config.endpoint_url.as_deref(), Some("http://localhost:5000"));
    let env = MapEnv::from([
        ("AWS_ENDPOINT_URL", "http://localhost:5000"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "https://vpce.example.com"),
    ]);
    let config = AwsSecretsManagerConfig::from_env_with(&env);
    assert_eq!(config.endpoint_url.as_deref(), Some("https://vpce.example.com"));
    assert_eq!(AwsSecretsManagerConfig::from_env_with(&MapEnv::default()), defaults());
}

#[test]
fn the_environment_of_the_process_is_read() {
    let variables = [("AWS_REGION", "eu-west-1"), ("AWS_PROFILE", "app")];
    if !has_env("config::tests::the_environment_of_the_process_is_read", &variables) {
        return;
    }
    let config = AwsSecretsManagerConfig::from_env();
    assert_eq!((config.region.as_deref(), config.profile.as_deref()), (Some("eu-west-1"), Some("app")));
}

#[tokio::test]
async fn the_retry_budget_is_that_of_the_executor() {
    let provider = crate::AwsSecretsManagerProvider::new(defaults().with_retry_budget(77)).unwrap();
    assert!(format!("{provider:?}").contains("capacity: 77"), "{provider:?}");
}
