//! The backends that there are. A new one is a name here, a feature, and an entry.

use std::sync::Arc;

use cred_core::{ConfigError, StorageProvider};

use crate::config::Fields;
use crate::config::value::Misfit;

/// A backend that this program was built with.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    /// The fields of its configuration that are secret, by their dotted names in a file.
    pub(crate) secrets: &'static [&'static str],
    /// The fields that are paths: a relative one counts from the file, and `~/` is the home folder.
    pub(crate) paths: &'static [&'static str],
    /// The lines that `cred init` writes for it, beside `backend` and `ring`. `{store}` is a folder for local files.
    pub(crate) template: &'static str,
    pub(crate) open: fn(&Fields<'_, '_>) -> Result<Arc<dyn StorageProvider>, OpenError>,
    /// What says where it keeps credentials, defaults included: two profiles for which it is equal are one store.
    pub(crate) place: fn(&Fields<'_, '_>) -> Result<Place, Misfit>,
}

/// Where credentials are kept.
pub(crate) type Place = Vec<Option<String>>;

/// Why a provider could not be made.
pub(crate) enum OpenError {
    /// The file does not fit the configuration's type.
    Misfit(Misfit),
    /// The configuration has a value that it cannot have.
    Config(ConfigError),
}

impl From<Misfit> for OpenError {
    fn from(misfit: Misfit) -> Self {
        Self::Misfit(misfit)
    }
}

impl From<ConfigError> for OpenError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// All that could be built in; each is the name of its cargo feature too.
const NAMES: &[&str] = &["local", "aws", "azure", "k8s", "vault"];

/// Those that are.
static BACKENDS: &[Backend] = &[
    #[cfg(feature = "local")]
    Backend {
        name: "local",
        secrets: &[],
        paths: &["base_path"],
        template: "base_path = {store}\n",
        open: |fields| Ok(Arc::new(cred_store_local::LocalStorageProvider::new(fields.read()?)?)),
        place: |fields| {
            let config: cred_store_local::LocalStorageConfig = fields.read()?;
            Ok(vec![file(&config.base_path), Some(config.file_extension)])
        },
    },
    #[cfg(feature = "aws")]
    Backend {
        name: "aws",
        secrets: &[],
        paths: &[],
        template: "# region and credentials: those of AWS's own chain\nsecret_prefix = \"nebula/credentials/\"\n",
        open: |fields| Ok(Arc::new(cred_store_aws::AwsSecretsManagerProvider::new(fields.read()?)?)),
        place: |fields| {
            let config: cred_store_aws::AwsSecretsManagerConfig = fields.read()?;
            let endpoint = config.endpoint_url.as_deref().and_then(url);
            Ok(vec![config.region, config.profile, endpoint, Some(config.secret_prefix)])
        },
    },
    #[cfg(feature = "azure")]
    Backend {
        name: "azure",
        secrets: &["credential_type.service_principal.client_secret"],
        paths: &["ca_cert"],
        template: "vault_url = \"https://example.vault.azure.net/\"\ncredential_type = \"developer_tools\"\n",
        open: |fields| Ok(Arc::new(cred_store_azure::AzureKeyVaultProvider::new(fields.read()?)?)),
        place: |fields| {
            let config: cred_store_azure::AzureKeyVaultConfig = fields.read()?;
            Ok(vec![url(&config.vault_url), Some(config.secret_prefix)])
        },
    },
    #[cfg(feature = "k8s")]
    Backend {
        name: "k8s",
        secrets: &[],
        paths: &["kubeconfig_path"],
        template: "# the cluster: that of the kubeconfig, or of the pod\nnamespace = \"default\"\n",
        open: |fields| Ok(Arc::new(cred_store_k8s::KubernetesSecretsProvider::new(fields.read()?)?)),
        place: |fields| {
            let config: cred_store_k8s::KubernetesSecretsConfig = fields.read()?;
            let kubeconfig = config.kubeconfig_path.as_deref().and_then(file);
            Ok(vec![kubeconfig, config.context, Some(config.namespace), Some(config.secret_prefix)])
        },
    },
    #[cfg(feature = "vault")]
    Backend {
        name: "vault",
        secrets: &["auth_method.token.token", "auth_method.app_role.secret_id"],
        paths: &["ca_cert"],
        template: "address = \"http://127.0.0.1:8200\"\nauth_method = { token = { token = { env = \"VAULT_TOKEN\" } } }\n",
        open: |fields| Ok(Arc::new(cred_store_vault::HashiCorpVaultProvider::new(fields.read()?)?)),
        place: |fields| {
            let config: cred_store_vault::VaultConfig = fields.read()?;
            let mount = Some(config.mount_path.trim_matches('/').to_owned());
            let prefix = Some(config.path_prefix.trim_matches('/').to_owned());
            Ok(vec![url(&config.address), config.namespace, mount, prefix])
        },
    },
];

/// A file or folder, without links and detours where it is there.
#[cfg(any(feature = "local", feature = "k8s"))]
fn file(path: &std::path::Path) -> Option<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Some(path.to_string_lossy().into_owned())
}

/// An address, with or without the slash at its end.
#[cfg(any(feature = "aws", feature = "azure", feature = "vault"))]
fn url(text: &str) -> Option<String> {
    Some(text.trim_end_matches('/').to_owned())
}

/// The name of a backend for people, also of one that is not built in.
pub(crate) fn shown_name(name: &str) -> &str {
    if NAMES.contains(&name) { name } else { "of an unknown name" }
}

/// What a backend of this name may start, also one that is not built in.
pub(crate) fn programs(name: &str) -> Option<String> {
    let programs = match name {
        "aws" => "the `credential_process` of an AWS profile",
        "azure" => "`az` and `azd`",
        "k8s" => "the `exec` plugin of a kubeconfig",
        _ => return None,
    };
    Some(programs.to_owned())
}

/// Whether any backend, also one that is not built in, has a field of this name that is a path.
pub(crate) fn is_path(field: &str) -> bool {
    ["base_path", "ca_cert", "kubeconfig_path"].contains(&field)
}

/// The names of those that are built in.
pub(crate) fn names() -> Vec<&'static str> {
    BACKENDS.iter().map(|backend| backend.name).collect()
}

/// The backend of a name. The error continues a sentence that begins with the field.
pub(crate) fn find(name: &str) -> Result<&'static Backend, String> {
    let known = BACKENDS.iter().find(|backend| backend.name == name);
    known.ok_or_else(|| match NAMES.contains(&name) {
        true => format!(
            "is a backend that this program was built without; build it with `--features {name}`, or use one of {}",
            names().join(", ")
        ),
        false => format!("is not a backend; use one of {}", names().join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The names of fields of some types in a crate's configuration: `config.rs`, and what is below `config/`.
    fn fields_of(kinds: &[&str], path: &Path, found: &mut BTreeSet<String>) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| fields_of(kinds, &entry.unwrap().path(), found));
        }
        let text = if path.is_file() { fs::read_to_string(path).unwrap() } else { String::new() };
        for line in text.lines().map(|line| line.trim().trim_start_matches("pub ")) {
            let Some((name, kind)) = line.split_once(": ") else { continue };
            let is_field = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_field && kinds.contains(&kind) {
                found.insert(name.to_owned());
            }
        }
    }

    fn names(fields: &[&str]) -> BTreeSet<String> {
        fields.iter().filter_map(|name| name.rsplit('.').next()).map(str::to_owned).collect()
    }

    #[test]
    fn every_secret_field_and_every_path_of_a_backend_is_known_as_one() {
        for backend in BACKENDS {
            let folder = format!("{}/../cred-store-{}/src", env!("CARGO_MANIFEST_DIR"), backend.name);
            let fields = |kinds: &[&str]| {
                let mut found = BTreeSet::new();
                for room in ["config.rs", "config"] {
                    fields_of(kinds, &Path::new(&folder).join(room), &mut found);
                }
                found
            };
            let secrets = fields(&["SecretString,", "Option<SecretString>,"]);
            assert_eq!(names(backend.secrets), secrets, "{}", backend.name);
            assert_eq!(names(backend.paths), fields(&["PathBuf,", "Option<PathBuf>,"]), "{}", backend.name);
            assert!(backend.paths.iter().all(|path| is_path(path)), "{}", backend.name);
        }
    }

    #[test]
    fn a_backend_is_found_unknown_or_not_built_in() {
        assert!(find("nowhere").is_err_and(|problem| problem.starts_with("is not a backend")));
        for name in NAMES {
            match find(name) {
                Ok(backend) => assert_eq!(backend.name, *name),
                Err(problem) => assert!(problem.contains(&format!("--features {name}")), "{problem}"),
            }
        }
    }
}
