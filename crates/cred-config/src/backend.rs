//! The table of backends. A new backend needs a feature and an entry in it.

use std::fmt;
use std::sync::Arc;

use cred_core::{ConfigError, StorageProvider};

use crate::value::{Node, ValueError};

/// A backend that a profile can name, built in or not.
pub struct Backend {
    /// The name in a file, and of the feature of this crate.
    name: &'static str,
    /// The secret fields of its configuration, as dotted names.
    pub(crate) secrets: &'static [&'static str],
    /// The fields that are paths. A relative path is relative to the folder of the file, and `~/`
    /// is the home folder.
    pub(crate) paths: &'static [&'static str],
    /// The programs that it may start.
    programs: Option<&'static str>,
    /// The lines of a new profile after `backend` and `ring`.
    template: &'static str,
    /// `None` if its feature is off.
    pub(crate) driver: Option<Driver>,
}

/// The code that a backend's feature adds.
pub(crate) struct Driver {
    pub(crate) open: fn(&Node<'_>) -> Result<Arc<dyn StorageProvider>, OpenError>,
    /// All settings that decide where credentials are stored, including defaults. Two profiles with
    /// equal identities use the same store.
    pub(crate) identity: fn(&Node<'_>) -> Result<StoreIdentity, ValueError>,
}

/// The settings that identify a store.
pub(crate) type StoreIdentity = Vec<Option<String>>;

/// The error of creating a provider.
pub(crate) enum OpenError {
    /// A value of the file does not fit the configuration's type.
    Value(ValueError),
    /// The backend rejected its configuration.
    Config(ConfigError),
}

impl From<ValueError> for OpenError {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

impl From<ConfigError> for OpenError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// The fields of a profile that do not belong to the backend's configuration.
pub(crate) const PROFILE_FIELDS: [&str; 3] = ["backend", "ring", "created_by"];

/// The driver, if the feature of its backend is on.
macro_rules! driver {
    ($feature:literal, $open:expr, $identity:expr) => {
        driver!(cfg(feature = $feature), $open, $identity)
    };
    (cfg($built_in:meta), $open:expr, $identity:expr) => {{
        #[cfg($built_in)]
        let driver = Some(Driver { open: $open, identity: $identity });
        #[cfg(not($built_in))]
        let driver = None;
        driver
    }};
}

static BACKENDS: &[Backend] = &[
    Backend {
        name: "local",
        secrets: &[],
        paths: &["base_path"],
        programs: None,
        template: "base_path = {store}\n",
        driver: driver!(
            // The store crate is empty on other systems.
            cfg(all(feature = "local", unix)),
            |profile| Ok(Arc::new(cred_store_local::LocalStorageProvider::new(
                profile.read(&PROFILE_FIELDS)?
            )?)),
            |profile| {
                let config: cred_store_local::LocalStorageConfig = profile.read(&PROFILE_FIELDS)?;
                Ok(vec![canonical_path(&config.base_path), Some(config.file_extension)])
            }
        ),
    },
    Backend {
        name: "aws",
        secrets: &[],
        paths: &[],
        programs: Some("the `credential_process` of an AWS profile"),
        template: "# region and credentials: those of AWS's own chain\nsecret_prefix = \"nebula/credentials/\"\n",
        driver: driver!(
            "aws",
            |profile| Ok(Arc::new(cred_store_aws::AwsSecretsManagerProvider::new(
                profile.read(&PROFILE_FIELDS)?
            )?)),
            |profile| {
                let config: cred_store_aws::AwsSecretsManagerConfig = profile.read(&PROFILE_FIELDS)?;
                let endpoint = config.endpoint_url.as_deref().and_then(without_slash);
                let prefix = config.secret_prefix.trim_end_matches('/').to_owned();
                Ok(vec![config.region, config.profile, endpoint, Some(prefix)])
            }
        ),
    },
    Backend {
        name: "azure",
        secrets: &["credential_type.service_principal.client_secret"],
        paths: &["ca_cert"],
        programs: Some("`az` and `azd`"),
        template: "vault_url = \"https://example.vault.azure.net/\"\ncredential_type = \"developer_tools\"\n",
        driver: driver!(
            "azure",
            |profile| Ok(Arc::new(cred_store_azure::AzureKeyVaultProvider::new(
                profile.read(&PROFILE_FIELDS)?
            )?)),
            |profile| {
                let config: cred_store_azure::AzureKeyVaultConfig = profile.read(&PROFILE_FIELDS)?;
                Ok(vec![without_slash(&config.vault_url), Some(config.secret_prefix.to_ascii_lowercase())])
            }
        ),
    },
    Backend {
        name: "k8s",
        secrets: &[],
        paths: &["kubeconfig_path"],
        programs: Some("the `exec` plugin of a kubeconfig"),
        template: "# the cluster: that of the kubeconfig, or of the pod\nnamespace = \"default\"\n",
        driver: driver!(
            "k8s",
            |profile| Ok(Arc::new(cred_store_k8s::KubernetesSecretsProvider::new(
                profile.read(&PROFILE_FIELDS)?
            )?)),
            |profile| {
                let config: cred_store_k8s::KubernetesSecretsConfig = profile.read(&PROFILE_FIELDS)?;
                let kubeconfig = config.kubeconfig_path.as_deref().and_then(canonical_path);
                Ok(vec![kubeconfig, config.context, Some(config.namespace), Some(config.secret_prefix)])
            }
        ),
    },
    Backend {
        name: "vault",
        secrets: &["auth_method.token.token", "auth_method.app_role.secret_id"],
        paths: &["ca_cert"],
        programs: None,
        template: "address = \"http://127.0.0.1:8200\"\nauth_method = { token = { token = { env = \"VAULT_TOKEN\" } } }\n",
        driver: driver!(
            "vault",
            |profile| Ok(Arc::new(cred_store_vault::HashiCorpVaultProvider::new(
                profile.read(&PROFILE_FIELDS)?
            )?)),
            |profile| {
                let config: cred_store_vault::VaultConfig = profile.read(&PROFILE_FIELDS)?;
                let mount = Some(config.mount_path.trim_matches('/').to_owned());
                let prefix = Some(config.path_prefix.trim_matches('/').to_owned());
                let namespace = config.namespace.as_deref().and_then(without_slash);
                Ok(vec![without_slash(&config.address), namespace, mount, prefix])
            }
        ),
    },
    // Only for tests, so no message suggests it unless it is built in.
    #[cfg(feature = "memory")]
    Backend {
        name: "memory",
        secrets: &[],
        paths: &[],
        programs: None,
        template: "",
        driver: driver!(
            "memory",
            |profile| {
                let settings: crate::memory::MemorySettings = profile.read(&PROFILE_FIELDS)?;
                Ok(Arc::new(cred_store_memory::MemoryStorageProvider::new(settings.into())?))
            },
            // Each `open` creates a separate store.
            |profile| Ok(vec![Some(format!("{} {}", profile.file().path().display(), profile.field()))])
        ),
    },
];

/// The canonical path of a file or folder, if it exists.
#[cfg(any(all(feature = "local", unix), feature = "k8s"))]
fn canonical_path(path: &std::path::Path) -> Option<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Some(path.to_string_lossy().into_owned())
}

/// An address without trailing slashes, so that both forms are equal.
#[cfg(any(feature = "aws", feature = "azure", feature = "vault"))]
fn without_slash(text: &str) -> Option<String> {
    Some(text.trim_end_matches('/').to_owned())
}

impl Backend {
    /// Finds a backend by name, built in or not. `None` if it does not exist.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        BACKENDS.iter().find(|backend| backend.name == name)
    }

    /// Returns the backends whose feature is on.
    pub fn built_in() -> impl Iterator<Item = &'static Self> {
        BACKENDS.iter().filter(|backend| backend.is_built_in())
    }

    /// Whether this field is a path in the configuration of any backend, built in or not.
    #[must_use]
    pub fn is_path(field: &str) -> bool {
        BACKENDS.iter().any(|backend| backend.paths.contains(&field))
    }

    /// Returns the name, which is also the name of the feature of this crate.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its feature is on.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.driver.is_some()
    }

    /// Describes the programs that the backend may start. `None` if it starts no program.
    #[must_use]
    pub fn programs(&self) -> Option<&'static str> {
        self.programs
    }

    /// Returns the lines of a new profile after `backend` and `ring`, as TOML. `{store}` is a
    /// placeholder for the folder of local files, as a TOML string.
    #[must_use]
    pub fn template(&self) -> &'static str {
        self.template
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

#[cfg(test)]
mod tests;
