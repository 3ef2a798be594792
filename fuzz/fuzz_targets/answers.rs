//! Answers of the remote backends, decoded without a client or a server: values, lists, refusals. A
//! configuration can take the place of an answer.
//!
//! The first line of the input names a backend and the status of its answer; the rest is the body.
#![no_main]

use std::fmt::Debug;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cred_core::{ConfigError, CredentialPath, ExposeSecret as _, ProviderConfig, ScopeId, StorageError};
use cred_fuzz::{CANARY, planted_with, silent, silent_about, silent_text};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::{AWS, AZURE, KUBERNETES, Names, Rules, VAULT};
use cred_store_aws::{AwsSecretsManagerConfig, AwsSecretsManagerProvider};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The secrets of AWS and Azure are recognized by their shape: an access key id, and a token.
const ACCESS_KEY: &str = "AKIAHUNTER2HUNTER2HU";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2hunter2";

const GUID: &str = "00000000-0000-0000-0000-000000000000";

static AWS_NAMES: LazyLock<Names> = LazyLock::new(|| names(AWS, "nebula/credentials/"));
static AZURE_NAMES: LazyLock<Names> = LazyLock::new(|| names(AZURE, "nebula-"));
static KUBERNETES_NAMES: LazyLock<Names> = LazyLock::new(|| names(KUBERNETES, "nebula-cred-"));
static VAULT_NAMES: LazyLock<Names> = LazyLock::new(|| names(VAULT, "nebula/"));

fn names(rules: Rules, prefix: &str) -> Names {
    Names::new(rules, "prefix", prefix).expect("a prefix")
}

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (head, body) = (String::from_utf8_lossy(&input[..end]), &input[end + 1..]);
    let Some((backend, status)) = head.split_once(' ') else { return };
    let Ok(status) = status.parse() else { return };
    let (secret, answer): (_, fn(u16, &[u8])) = match backend {
        "aws" => (ACCESS_KEY, aws),
        "azure" => (TOKEN, azure),
        "k8s" => (CANARY, kubernetes),
        "vault" => (CANARY, vault),
        _ => return,
    };
    answer(status, body);
    answer(status, &planted_with(body, secret));
});

fn aws(status: u16, body: &[u8]) {
    aws_configuration(body);
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(value) = answer["SecretString"].as_str() {
        canonical(cred_store_aws::fuzzing::read(value), ACCESS_KEY, |written| written == value);
    }
    let secrets = answer["SecretList"].as_array().into_iter().flatten();
    let secrets: Vec<_> = secrets
        .filter_map(|secret| Some((secret["Name"].as_str()?, secret["Description"].as_str())))
        .collect();
    for path in cred_store_aws::fuzzing::list(&AWS_NAMES, secrets.iter().copied()) {
        let name = AWS_NAMES.encode(path.as_path_ref()).text;
        assert!(secrets.iter().any(|secret| secret.0 == name), "{path} is not in the answer");
    }
    let (code, message) = (answer["__type"].as_str(), answer["Message"].as_str());
    // The code is shown.
    if !code.is_some_and(|code| code.contains(ACCESS_KEY)) {
        short(&cred_store_aws::fuzzing::refusal(status, code, message), ACCESS_KEY);
    }
}

fn azure(status: u16, body: &[u8]) {
    azure_configuration(body);
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    for secret in answer["value"].as_array().into_iter().flatten() {
        let Some(id) = secret["id"].as_str() else { continue };
        let tags = secret["tags"].as_object().into_iter().flatten();
        let tags = tags.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        if let Ok(Some(path)) = cred_store_azure::fuzzing::list(&AZURE_NAMES, id, tags) {
            let name = AZURE_NAMES.encode(path.as_path_ref()).text.to_ascii_lowercase();
            // A parser of URLs skips these characters.
            let id = id.replace(['\t', '\r', '\n'], "").to_ascii_lowercase();
            assert!(id.contains(&name), "{path} is not in the answer");
        }
    }
    short(&cred_store_azure::fuzzing::refusal(status, body), TOKEN);
    short(&cred_store_azure::fuzzing::token_refusal(status, body), TOKEN);
}

fn kubernetes(status: u16, body: &[u8]) {
    use cred_store_k8s::fuzzing::{list, list_contents, read, refusal};
    kubernetes_configuration(body);
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = texts(&answer);
    let sent = |text: &str| answer.is_null() || texts.contains(&text);
    canonical(read(body), CANARY, |written| sent(&STANDARD.encode(written)));
    let found = list(&KUBERNETES_NAMES, body).unwrap_or_default();
    for path in &found {
        assert!(sent(&KUBERNETES_NAMES.encode(path.as_path_ref()).text), "{path} is not in the answer");
    }
    if let Some(contents) = list_contents(&KUBERNETES_NAMES, body) {
        let (paths, files): (Vec<_>, Vec<_>) = contents.into_iter().unzip();
        assert_eq!(paths, found, "a filter changes what is listed");
        for file in files {
            canonical(file, CANARY, |written| sent(&STANDARD.encode(written)));
        }
    }
    short(&refusal(status, body, CANARY), CANARY);
}

fn vault(status: u16, body: &[u8]) {
    use cred_store_vault::fuzzing::{list, login, read, refusal};
    static SCOPE: LazyLock<ScopeId> = LazyLock::new(|| "org:acme".parse().expect("a scope"));
    vault_configuration(body);
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = texts(&answer);
    let sent = |text: &str| answer.is_null() || texts.contains(&text);
    canonical(read(body), CANARY, sent);
    for scope in [None, Some(&*SCOPE)] {
        let Some((paths, scopes)) = list(&VAULT_NAMES, scope, body) else { continue };
        once(&paths);
        once(&scopes);
        for CredentialPath { scope: found, id } in paths {
            assert!(found.as_ref() == scope && sent(id.as_str()), "{id} is not in the answer");
        }
        for below in scopes {
            assert_eq!(below.parent().as_ref(), scope, "the scope is not one level below");
            let name = below.as_str().rsplit('/').next().unwrap_or_default();
            assert!(sent(&format!("{name}/")), "{below} is not in the answer");
        }
    }
    if let Some(token) = login(body) {
        let token = token.expose_secret();
        let is_header = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(is_header, "the SDK panics on such a token");
    }
    short(&refusal(status, body, CANARY), CANARY);
}

/// Checks that a decoded value encodes to the bytes of the answer, and that an error does not
/// repeat them.
fn canonical(read: Result<CredentialFile, StorageError>, secret: &str, is_sent: impl FnOnce(&str) -> bool) {
    match read {
        Ok(file) => {
            let written = file.encode().expect("what was decoded");
            assert!(is_sent(std::str::from_utf8(&written).expect("JSON")), "it differs from the answer");
        }
        Err(error) => silent_about(secret, &error),
    }
}

/// Checks that a refusal is one short line without the secret.
fn short(error: &StorageError, secret: &str) {
    const LONGEST: usize = 2_000;
    silent_about(secret, error);
    let text = error.to_string();
    assert!(text.chars().count() <= LONGEST && !text.contains(char::is_control), "{text:?}");
}

fn once<T: Ord + Debug>(found: &[T]) {
    let mut sorted: Vec<_> = found.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), found.len(), "one is listed twice: {found:?}");
}

/// All strings of an answer.
fn texts(answer: &Value) -> Vec<&str> {
    match answer {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn aws_configuration(body: &[u8]) {
    let new = |config| AwsSecretsManagerProvider::new(config).map(drop);
    configuration(body, |_: &mut AwsSecretsManagerConfig| {}, new);
}

fn azure_configuration(body: &[u8]) {
    let arm = |config: &mut AzureKeyVaultConfig| {
        config.credential_type = AzureCredentialType::service_principal(GUID, GUID, CANARY.into());
        config.ca_cert = None;
    };
    configuration(body, arm, |config| config.validate());
}

fn vault_configuration(body: &[u8]) {
    let arm = |config: &mut VaultConfig| {
        config.auth_method = VaultAuthMethod::token(CANARY.into());
        config.ca_cert = None;
    };
    configuration(body, arm, |config| match config.address.starts_with("http:") {
        true => HashiCorpVaultProvider::new(config).map(drop),
        false => config.validate(),
    });
}

/// Its `validate` also reads the kubeconfig.
fn kubernetes_configuration(body: &[u8]) {
    let Ok(config) = serde_json::from_slice(body) else { return };
    if let Err(error) = cred_store_k8s::fuzzing::check(&config) {
        silent(&error);
    }
}

/// Checks that a configuration is accepted exactly if it is valid, and that it prints no secret.
/// `arm` puts the secret in, and takes out the files that the fuzzer names. Where `new` only
/// validates, a provider reads the certificates of the system, which takes 20 ms.
fn configuration<C: ProviderConfig + Debug + DeserializeOwned>(
    body: &[u8],
    arm: impl FnOnce(&mut C),
    new: impl FnOnce(C) -> Result<(), ConfigError>,
) {
    let Ok(mut config) = serde_json::from_slice(body) else { return };
    arm(&mut config);
    let valid = config.validate();
    if !String::from_utf8_lossy(body).contains(CANARY) {
        silent_text(&format!("{config:?}"));
        if let Err(error) = &valid {
            silent(error);
        }
    }
    assert_eq!(new(config), valid, "a configuration is accepted exactly if it is valid");
}
