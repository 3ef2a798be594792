//! Puts a secret in every wrong place of a configuration with secrets. No error repeats it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Backend, config};

const TEXT: &str = "hunter2-in-the-wrong-place";
const NUMBER: i64 = 7_316_731_673;

/// A service's configuration that contains the configuration of a store.
#[derive(Deserialize)]
struct Service<T> {
    #[serde(rename = "store")]
    _store: T,
}

/// The parts of `names` with `value` inside the last of them.
fn nested(names: &[&str], value: Value) -> Value {
    names.iter().rev().fold(value, |value, name| json!({ *name: value }))
}

/// Invalid values at and above a secret of this dotted name.
fn wrong(secret: &str) -> Vec<Value> {
    let names: Vec<_> = secret.split('.').collect();
    let mut wrong = Vec::new();
    for depth in 0..=names.len() {
        let (above, below) = names.split_at(depth);
        for value in [json!(NUMBER), json!(7_316_731_673.5), json!({ TEXT: TEXT }), json!([[TEXT]])] {
            wrong.push(nested(above, value));
        }
        // A table belongs here, or another name.
        if let [name, rest @ ..] = below {
            wrong.push(nested(above, json!(TEXT)));
            wrong.push(nested(above, json!({ TEXT: nested(rest, json!("x")) })));
            wrong.push(nested(above, json!({ TEXT: json!({ "a": TEXT }), *name: nested(rest, json!("x")) })));
        }
    }
    wrong
}

/// The error messages of each format for each wrong value.
fn messages<T: DeserializeOwned>(wrong: &[Value]) -> Vec<String> {
    let mut messages = Vec::new();
    let mut add = |value: &Value, message: Option<String>| {
        messages.push(message.unwrap_or_else(|| panic!("{value} was taken")));
    };
    for value in wrong {
        let value = json!({ "store": value });
        let (json, toml) = (value.to_string(), toml::to_string(&value).unwrap());
        add(&value, serde_json::from_str::<Service<T>>(&json).err().map(|error| error.to_string()));
        add(&value, serde_json::from_value::<Service<T>>(value.clone()).err().map(|error| error.to_string()));
        add(&value, toml::from_str::<Service<T>>(&toml).err().map(|error| error.message().to_owned()));
        let table: toml::Table = toml::from_str(&toml).unwrap();
        add(&value, table.try_into::<Service<T>>().err().map(|error| error.to_string()));
    }
    messages
}

/// The values of this field in those configurations that have no other field.
fn inside(wrong: &[Value], field: &str) -> Vec<Value> {
    let tables = wrong.iter().filter_map(Value::as_object).filter(|table| table.len() == 1);
    tables.filter_map(|table| table.get(field).cloned()).collect()
}

#[test]
fn no_error_repeats_a_secret_in_the_wrong_place() {
    for backend in Backend::built_in() {
        for secret in backend.secrets {
            let wrong = wrong(secret);
            let mut messages = match backend.name {
                "azure" => [
                    messages::<cred_store_azure::AzureKeyVaultConfig>(&wrong),
                    messages::<cred_store_azure::AzureCredentialType>(&inside(&wrong, "credential_type")),
                ],
                "vault" => [
                    messages::<cred_store_vault::VaultConfig>(&wrong),
                    messages::<cred_store_vault::VaultAuthMethod>(&inside(&wrong, "auth_method")),
                ],
                other => panic!("add the types of {other} that hold secrets"),
            }
            .concat();
            // In a profile, whose own fields have their names in errors.
            let first = secret.split('.').next().unwrap();
            for value in inside(&wrong, first) {
                let folder = tempfile::tempdir().unwrap();
                let sample = toml::to_string(&json!({ first: value })).unwrap();
                let sample = sample.replace(&format!("[{first}"), &format!("[profiles.p.{first}"));
                let config = config(folder.path(), backend.name, &sample);
                let profile = config.profile("p", "the test").unwrap();
                let error = profile.is_store_of(&profile).unwrap_err().to_string();
                messages.push(error);
            }
            assert!(messages.len() > 100, "{}", messages.len());
            for message in messages {
                let shown = [TEXT, "7316731673"].iter().find(|text| message.contains(**text));
                assert!(shown.is_none(), "{}: {message}", backend.name);
            }
        }
    }
}
