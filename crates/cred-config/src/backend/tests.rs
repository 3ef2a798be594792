#[cfg(all(feature = "azure", feature = "vault"))]
mod misplaced;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::model::{Config, ConfigFile, Node, Origin};

/// Profiles that together set every field of a backend and use every variant of its enums.
const SAMPLES: &[(&str, &[&str])] = &[
    (
        "local",
        &[r#"
            base_path = "store"
            create_dir = false
            file_extension = "cred.json"
            enable_locking = false
            allow_open_dirs = true
            operation_timeout = "9s"
            max_payload_len = 8192
        "#],
    ),
    (
        "aws",
        &[
            r#"
                region = "eu-central-1"
                profile = "payments"
                endpoint_url = "http://127.0.0.1:4566"
                allow_http = true
                retry_budget = 50
                secret_prefix = "x/"
                timeout = "2s"
                operation_timeout = "9s"
                kms_key_id = "alias/credentials"
                default_tags = { team = "payments" }
                update_tags = true
                recovery_window_days = 7
                over_deleted = "refuse"
                read_lag = "1s"
                list_lag = "2s"
                [profiles.p.retry_policy]
                max_retries = 2
                base_delay_ms = 20
                max_delay_ms = 200
                multiplier = 1.5
                jitter = false
            "#,
            "over_deleted = \"recover\"",
        ],
    ),
    (
        "azure",
        &[
            r#"
                vault_url = "https://localhost:8443"
                timeout = "2s"
                operation_timeout = "9s"
                retry_budget = 50
                retry_policy = { max_retries = 2, base_delay_ms = 20, max_delay_ms = 200, multiplier = 1.5, jitter = false }
                secret_prefix = "x-"
                default_tags = { team = "payments" }
                over_deleted = "purge"
                allowed_host = "localhost"
                authority_host = "https://login.microsoftonline.us"
                ca_cert = "ca.pem"
                [profiles.p.credential_type.service_principal]
                tenant_id = "11111111-2222-3333-4444-555555555555"
                client_id = "66666666-7777-8888-9999-AAAAaaaaffff"
                client_secret = { file = "secret" }
            "#,
            "over_deleted = \"recover\"\ncredential_type = { managed_identity = { client_id = \"66666666-7777-8888-9999-AAAAaaaaffff\" } }",
            "over_deleted = \"refuse\"\ncredential_type = \"developer_tools\"",
        ],
    ),
    (
        "k8s",
        &[r#"
            namespace = "payments"
            kubeconfig_path = "kubeconfig"
            context = "production"
            secret_prefix = "x-"
            timeout = "2s"
            operation_timeout = "9s"
            retry_budget = 50
            retry_policy = { max_retries = 2, base_delay_ms = 20, max_delay_ms = 200, multiplier = 1.5, jitter = false }
            default_labels = { team = "payments" }
            default_annotations = { team = "payments" }
            replace_immutable = true
        "#],
    ),
    (
        "vault",
        &[
            r#"
                address = "https://127.0.0.1:8200"
                auth_method = { app_role = { role_id = "payments", secret_id = { file = "secret" }, mount_path = "approle" } }
                mount_path = "kv"
                path_prefix = "x/"
                namespace = "payments"
                timeout = "2s"
                operation_timeout = "9s"
                retry_budget = 50
                retry_policy = { max_retries = 2, base_delay_ms = 20, max_delay_ms = 200, multiplier = 1.5, jitter = false }
                tls_verify = false
                ca_cert = "ca.pem"
                allow_http = true
                token_renewal_threshold = "1m"
                delete_mode = "soft"
                custom_metadata = true
                max_payload_len = 8192
            "#,
            "delete_mode = \"metadata\"\nauth_method = { token = { token = { file = \"secret\" } } }",
        ],
    ),
    (
        "memory",
        &[r#"
            soft_delete = true
            limits = { max_payload_len = 8192, recommended_payload_len = 4096, max_tags = 3, max_tag_key_len = 10, max_tag_value_len = 20 }
        "#],
    ),
];

/// Fields whose entries have user-defined names.
const MAPS: [&str; 3] = ["default_tags", "default_labels", "default_annotations"];

/// Types of `cred-core` whose fields are part of a configuration, and their files.
const OF_CORE: [(&str, &str); 2] = [("RetryPolicy", "retry.rs"), ("Limits", "description.rs")];

/// Types of values that have no fields to check.
const LEAVES: [&str; 12] = [
    "String",
    "bool",
    "f64",
    "u8",
    "u32",
    "u64",
    "usize",
    "Duration",
    "PathBuf",
    "SecretString",
    "Option",
    "BTreeMap",
];

/// Every public struct and enum of a configuration, parsed from its source.
#[derive(Default)]
struct Types {
    names: BTreeSet<String>,
    /// Names and types of the fields.
    fields: BTreeSet<(String, String)>,
    /// In snake case, as in a file.
    variants: BTreeSet<String>,
}

impl Types {
    fn of(backend: &str) -> Self {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut types = Self::default();
        let folder = crates.join(format!("cred-store-{backend}/src"));
        let below =
            fs::read_dir(folder.join("config")).into_iter().flatten().map(|entry| entry.unwrap().path());
        for path in std::iter::once(folder.join("config.rs")).chain(below) {
            types.add(&fs::read_to_string(path).unwrap(), "");
        }
        for (name, file) in OF_CORE {
            if types.fields.iter().any(|(_, kind)| kind == name) {
                types.add(&fs::read_to_string(crates.join("cred-core/src").join(file)).unwrap(), name);
            }
        }
        types
    }

    /// Adds the types of a source, or only the one named `only`.
    fn add(&mut self, text: &str, only: &str) {
        for kind in ["struct", "enum"] {
            for block in text.split(&format!("\npub {kind} ")).skip(1) {
                let (head, body) = block.split_once(" {\n").unwrap();
                if !only.is_empty() && head != only {
                    continue;
                }
                self.names.insert(head.to_owned());
                let body = body.split("\n}").next().unwrap();
                for line in body.lines().map(str::trim).filter(|line| !line.starts_with(['/', '#'])) {
                    let line = line.strip_prefix("pub ").unwrap_or(line).trim_end_matches(',');
                    match line.split_once(": ") {
                        Some((name, kind)) => _ = self.fields.insert((name.to_owned(), kind.to_owned())),
                        None if kind == "enum" && line != "}" => {
                            let name = line.split([' ', '(']).next().unwrap();
                            self.variants.insert(snake(name));
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// The names of the fields whose types have one of these words.
    fn with(&self, words: &[&str]) -> BTreeSet<&str> {
        let has = |kind: &str| words.iter().any(|word| kind.contains(word));
        self.fields.iter().filter(|(_, kind)| has(kind)).map(|(name, _)| name.as_str()).collect()
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// The last parts of dotted names.
fn last_parts(names: &'static [&'static str]) -> BTreeSet<&'static str> {
    names.iter().filter_map(|name| name.rsplit('.').next()).collect()
}

/// Profile `p` of this backend, in a folder with the secret that the samples name.
fn config(folder: &Path, backend: &str, sample: &str) -> Config {
    let (secret, path) = (folder.join("secret"), folder.join("cred.toml"));
    fs::write(&secret, "hunter2\n").unwrap();
    #[cfg(unix)]
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&path, format!("[profiles.p]\nbackend = \"{backend}\"\n{sample}\n")).unwrap();
    Config::new(vec![ConfigFile::read(path, Origin::Given, None).unwrap()])
}

/// The keys and the texts below a node, without user-defined names.
fn words(node: &Node<'_>, found: &mut BTreeSet<String>) {
    for (key, value) in node.entries() {
        if !["backend", "file"].contains(&key) {
            found.insert(key.to_owned());
            found.extend(value.text().map(str::to_owned));
        }
        if !MAPS.contains(&key) {
            words(&value, found);
        }
    }
}

#[test]
fn every_field_and_every_variant_of_a_backend_can_be_set() {
    for backend in Backend::built_in() {
        let (_, samples) = SAMPLES.iter().find(|(name, _)| *name == backend.name).unwrap();
        let (types, mut set) = (Types::of(backend.name), BTreeSet::new());
        assert!(types.fields.len() > 1, "{}: the source has another form", backend.name);
        for sample in *samples {
            let folder = tempfile::tempdir().unwrap();
            let config = config(folder.path(), backend.name, sample);
            let profile = config.profile("p", "the test").unwrap();
            words(&config.files()[0].root().get("profiles").unwrap().get("p").unwrap(), &mut set);
            // Reads the configuration without checking the files and addresses in it.
            profile.is_store_of(&profile).unwrap_or_else(|error| panic!("{}: {error}", backend.name));
            if backend.name == "memory" {
                profile.open().unwrap();
            }
        }
        for (name, kind) in &types.fields {
            assert!(
                set.contains(name),
                "no profile of {} sets `{name}: {kind}`; add it to the samples",
                backend.name
            );
            for word in kind.split(['<', '>', ',', ' ']).filter(|word| !word.is_empty()) {
                let is_known = types.names.contains(word) || LEAVES.contains(&word);
                assert!(
                    is_known,
                    "{}: the fields of `{word}`, the type of `{name}`, are not looked at",
                    backend.name
                );
            }
        }
        for name in &types.variants {
            assert!(set.contains(name), "no profile of {} has the variant `{name}`; add it", backend.name);
        }
    }
}

#[test]
fn every_secret_field_and_every_path_field_of_a_backend_is_declared() {
    for backend in Backend::built_in() {
        let types = Types::of(backend.name);
        assert_eq!(last_parts(backend.secrets), types.with(&["Secret", "Zeroizing"]), "{}", backend.name);
        assert_eq!(last_parts(backend.paths), types.with(&["Path"]), "{}", backend.name);
        assert!(backend.paths.iter().all(|path| Backend::is_path(path)), "{}", backend.name);
    }
}

#[cfg(feature = "aws")]
#[test]
fn a_profile_can_delete_permanently_on_aws() {
    for (sample, expected) in
        [("", Some(30)), ("recovery_window_days = 7", Some(7)), ("recovery_window_days = 0", None)]
    {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), "aws", sample);
        let profiles = config.files()[0].root().get("profiles").unwrap();
        let read: cred_store_aws::AwsSecretsManagerConfig =
            profiles.get("p").unwrap().read(&PROFILE_FIELDS).unwrap();
        assert_eq!(read.recovery_window_days, expected, "{sample}");
    }
}
