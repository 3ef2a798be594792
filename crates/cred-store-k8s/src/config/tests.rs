use cred_testing::process::has_env;

use super::*;

fn good() -> KubernetesSecretsConfig {
    KubernetesSecretsConfig::default()
}

fn map(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

#[test]
fn an_invalid_field_is_named() {
    assert!(good().check().is_ok());
    let many: BTreeMap<_, _> = (0..65).map(|number| (format!("k{number}"), String::new())).collect();
    for (wrong, field) in [
        (good().with_namespace(""), "namespace"),
        (good().with_namespace("a/b"), "namespace"),
        (good().with_namespace("A"), "namespace"),
        (good().with_namespace("-a"), "namespace"),
        (good().with_namespace("a-"), "namespace"),
        (good().with_namespace("a.b"), "namespace"),
        (good().with_namespace("n".repeat(64)), "namespace"),
        (good().with_secret_prefix(""), "secret_prefix"),
        (good().with_secret_prefix("-a"), "secret_prefix"),
        (good().with_secret_prefix("A-"), "secret_prefix"),
        (good().with_secret_prefix("a/"), "secret_prefix"),
        (good().with_secret_prefix("p".repeat(64)), "secret_prefix"),
        (good().with_timeout(Duration::from_millis(999)), "timeout"),
        (good().with_timeout(Duration::from_secs(61)), "timeout"),
        (good().with_operation_timeout(Duration::ZERO), "operation_timeout"),
        (good().with_operation_timeout(Duration::from_secs(601)), "operation_timeout"),
        (good().with_default_labels(map("a b", "c")), "default_labels"),
        (good().with_default_labels(map("a", "c d")), "default_labels"),
        (good().with_default_labels(map("", "c")), "default_labels"),
        (good().with_default_labels(map("cred-rs.github.io/store", "c")), "default_labels"),
        (good().with_default_labels(map("a", &"v".repeat(64))), "default_labels"),
        (good().with_default_labels(many), "default_labels"),
        (good().with_default_annotations(map("a b", "c")), "default_annotations"),
        (good().with_default_annotations(map("cred-rs.github.io/path", "c")), "default_annotations"),
        (good().with_default_annotations(map("a", &"v".repeat(65_536))), "default_annotations"),
        (good().with_retry_budget(9), "retry_budget"),
        (good().with_retry_budget(1_000_001), "retry_budget"),
        (good().with_retry_policy(RetryPolicy::default().with_max_retries(11)), "max_retries"),
    ] {
        assert_eq!(wrong.check().unwrap_err().field(), field, "{wrong:?}");
    }
    let missing = good().with_kubeconfig_path("/does/not/exist");
    assert_eq!(missing.validate().unwrap_err().field(), "kubeconfig_path");
}

#[test]
fn validation_needs_a_kubeconfig_only_if_one_is_set() {
    let test = "config::tests::validation_needs_a_kubeconfig_only_if_one_is_set";
    if !has_env(test, &[("HOME", "/does/not/exist"), ("KUBECONFIG", ""), ("KUBERNETES_SERVICE_HOST", "")]) {
        return;
    }
    assert!(good().access(&ProcessEnv).is_err(), "no kubeconfig exists");
    assert!(good().validate().is_ok());
    assert!(good().with_context("production").validate().is_ok());
    assert!(good().with_kubeconfig_path("/does/not/exist").validate().is_err());
    assert_eq!(good().with_namespace("A").validate().unwrap_err().field(), "namespace");
}

#[test]
fn valid_values_are_accepted() {
    for right in [
        good().with_namespace("n".repeat(63)),
        good().with_namespace("0"),
        good().with_secret_prefix("p".repeat(63)),
        good().with_secret_prefix("team.app-"),
        good().with_default_labels(map("app.kubernetes.io/name", "")),
        good().with_default_labels([("team", "payments")]),
        good().with_default_labels(BTreeMap::<String, String>::new()),
        good().with_default_annotations(map("example.com/a", "any text: {}\u{e9}\n")),
    ] {
        assert!(right.check().is_ok(), "{right:?}");
    }
}

#[test]
fn a_file_is_parsed_and_unknown_fields_are_refused() {
    let read = |text: &str| serde_json::from_str::<KubernetesSecretsConfig>(text);
    let config = read(r#"{"namespace":"payments","timeout":"2s","default_labels":{"a":"b"}}"#).unwrap();
    assert_eq!((config.namespace.as_str(), config.timeout), ("payments", Duration::from_secs(2)));
    assert_eq!(config.default_labels, map("a", "b"));
    for wrong in [r#"{"namespce":"x"}"#, r#"{"timeout":5}"#] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_the_environment_changes_the_default_namespace() {
    let env = MapEnv::from([("KUBERNETES_NAMESPACE", "payments")]);
    assert_eq!(KubernetesSecretsConfig::from_env_with(&env).namespace, "payments");
    assert_eq!(KubernetesSecretsConfig::from_env_with(&MapEnv::default()).namespace, "default");
}

#[test]
fn the_environment_of_the_process_is_read() {
    let variables = [("KUBERNETES_NAMESPACE", "payments")];
    if !has_env("config::tests::the_environment_of_the_process_is_read", &variables) {
        return;
    }
    assert_eq!(KubernetesSecretsConfig::from_env().namespace, "payments");
    assert_eq!(KubernetesSecretsConfig::default().namespace, "payments");
    let config: KubernetesSecretsConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(config.namespace, "default");
}
