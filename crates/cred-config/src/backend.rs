//! The backends. A new one is a feature and an entry of the table.

use std::fmt;
use std::sync::Arc;

use cred_core::{ConfigError, StorageProvider};

use crate::value::{Misfit, Node};

/// A backend that a profile can name, built in or not.
pub struct Backend {
    /// In a file, and as a feature of this crate.
    name: &'static str,
    /// The fields of its configuration that are secret, by their dotted names in a file.
    pub(crate) secrets: &'static [&'static str],
    /// The fields that are paths: a relative one counts from the file, and `~/` is the home folder.
    pub(crate) paths: &'static [&'static str],
    /// What it may start.
    programs: Option<&'static str>,
    /// Lines of a new profile beside `backend` and `ring`.
    template: &'static str,
    /// `None`: its feature is off.
    pub(crate) driver: Option<Driver>,
}

/// What is built in with a backend's feature.
pub(crate) struct Driver {
    pub(crate) open: fn(&Node<'_>) -> Result<Arc<dyn StorageProvider>, OpenError>,
    /// Everything that decides where it keeps credentials, defaults included: two profiles for
    /// which it is equal are one store.
    pub(crate) place: fn(&Node<'_>) -> Result<Place, Misfit>,
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

/// The fields of a profile that are not the backend's.
pub(crate) const OWN: [&str; 3] = ["backend", "ring", "created_by"];

/// A driver, where the feature of its backend is on.
macro_rules! driver {
    ($feature:literal, $open:expr, $place:expr) => {
        driver!(cfg(feature = $feature), $open, $place)
    };
    (cfg($built_in:meta), $open:expr, $place:expr) => {{
        #[cfg($built_in)]
        let driver = Some(Driver { open: $open, place: $place });
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
            // The store is empty on other systems.
            cfg(all(feature = "local", unix)),
            |profile| Ok(Arc::new(cred_store_local::LocalStorageProvider::new(profile.read(&OWN)?)?)),
            |profile| {
                let config: cred_store_local::LocalStorageConfig = profile.read(&OWN)?;
                Ok(vec![file(&config.base_path), Some(config.file_extension)])
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
            |profile| Ok(Arc::new(cred_store_aws::AwsSecretsManagerProvider::new(profile.read(&OWN)?)?)),
            |profile| {
                let config: cred_store_aws::AwsSecretsManagerConfig = profile.read(&OWN)?;
                let endpoint = config.endpoint_url.as_deref().and_then(url);
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
            |profile| Ok(Arc::new(cred_store_azure::AzureKeyVaultProvider::new(profile.read(&OWN)?)?)),
            |profile| {
                let config: cred_store_azure::AzureKeyVaultConfig = profile.read(&OWN)?;
                Ok(vec![url(&config.vault_url), Some(config.secret_prefix.to_ascii_lowercase())])
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
            |profile| Ok(Arc::new(cred_store_k8s::KubernetesSecretsProvider::new(profile.read(&OWN)?)?)),
            |profile| {
                let config: cred_store_k8s::KubernetesSecretsConfig = profile.read(&OWN)?;
                let kubeconfig = config.kubeconfig_path.as_deref().and_then(file);
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
            |profile| Ok(Arc::new(cred_store_vault::HashiCorpVaultProvider::new(profile.read(&OWN)?)?)),
            |profile| {
                let config: cred_store_vault::VaultConfig = profile.read(&OWN)?;
                let mount = Some(config.mount_path.trim_matches('/').to_owned());
                let prefix = Some(config.path_prefix.trim_matches('/').to_owned());
                let namespace = config.namespace.as_deref().and_then(url);
                Ok(vec![url(&config.address), namespace, mount, prefix])
            }
        ),
    },
    // For tests alone, so that no message proposes it where it is not built in.
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
                let settings: crate::memory::Settings = profile.read(&OWN)?;
                Ok(Arc::new(cred_store_memory::MemoryStorageProvider::new(settings.into())?))
            },
            // Each opening is a store of its own.
            |profile| Ok(vec![Some(format!("{} {}", profile.file().path().display(), profile.field()))])
        ),
    },
];

/// A file or folder, without links and detours if it exists.
#[cfg(any(all(feature = "local", unix), feature = "k8s"))]
fn file(path: &std::path::Path) -> Option<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Some(path.to_string_lossy().into_owned())
}

/// An address, with or without the slash at its end.
#[cfg(any(feature = "aws", feature = "azure", feature = "vault"))]
fn url(text: &str) -> Option<String> {
    Some(text.trim_end_matches('/').to_owned())
}

impl Backend {
    /// The backend of a name, built in or not; `None`: there is no such backend.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        BACKENDS.iter().find(|backend| backend.name == name)
    }

    /// The backends whose feature is on.
    pub fn built_in() -> impl Iterator<Item = &'static Self> {
        BACKENDS.iter().filter(|backend| backend.is_built_in())
    }

    /// Whether any backend, built in or not, has a field of this name that is a path.
    #[must_use]
    pub fn is_path(field: &str) -> bool {
        BACKENDS.iter().any(|backend| backend.paths.contains(&field))
    }

    /// The name, in a file and as a feature of this crate.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its feature is on.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.driver.is_some()
    }

    /// The programs that it may start, for people; `None`: it starts none.
    #[must_use]
    pub fn programs(&self) -> Option<&'static str> {
        self.programs
    }

    /// The lines of a new profile, beside `backend` and `ring`, as TOML. `{store}` stands for the
    /// folder of local files, as a string of TOML.
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
