//! The backends that there are or will be. A new one is an entry here.

use anyhow::{Result, bail};

#[derive(Debug, PartialEq)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// What its tests may need, the one that is the backend itself first. None: its ordinary tests are all.
    pub(crate) servers: &'static [&'static str],
    /// Where its workspace is, if it is not ours: an example that stands for providers of others.
    pub(crate) outside: Option<&'static str>,
}

static BACKENDS: [Backend; 6] = [
    Backend { name: "local", package: "cred-store-local", servers: &[], outside: None },
    Backend { name: "vault", package: "cred-store-vault", servers: &["vault", "vault-tls"], outside: None },
    Backend { name: "aws", package: "cred-store-aws", servers: &["moto"], outside: None },
    // No emulator can be installed from a registry, so there is a double of the protocol, with a referee.
    Backend {
        name: "azure",
        package: "cred-store-azure",
        servers: &["keyvault", "keyvault-referee"],
        outside: None,
    },
    Backend { name: "k8s", package: "cred-store-k8s", servers: &["kube-apiserver", "etcd"], outside: None },
    Backend {
        name: "redis",
        package: "provider-redis",
        servers: &["redis"],
        outside: Some("examples/provider-redis"),
    },
];

impl Backend {
    /// Whether a test program is one of the backend's: one of its own package, or of another that is named after it.
    pub(super) fn tests_itself_by(&self, package: &str, program: &str) -> bool {
        match package == self.package {
            true => program.starts_with("integration"),
            false => program.strip_prefix("integration_") == Some(self.name),
        }
    }
}

pub(super) fn find(name: &str) -> Option<&'static Backend> {
    BACKENDS.iter().find(|backend| backend.name == name)
}

/// The folders of the workspaces that are not ours.
pub(super) fn outside() -> impl Iterator<Item = &'static str> {
    BACKENDS.iter().filter_map(|backend| backend.outside)
}

/// The backends of these names, in the order of the table; all whose package exists where none is named.
pub(super) fn select(names: &[String], packages: &[&str]) -> Result<Vec<&'static Backend>> {
    for name in names {
        match find(name) {
            None => {
                let known: Vec<_> = BACKENDS.iter().map(|backend| backend.name).collect();
                bail!("there is no backend {name}; there are {}", known.join(", "));
            }
            Some(backend) if !packages.contains(&backend.package) => {
                bail!("the workspace has no {} yet", backend.package);
            }
            Some(_) => {}
        }
    }
    let wanted = |backend: &&Backend| match names {
        [] => packages.contains(&backend.package),
        names => names.iter().any(|name| name == backend.name),
    };
    Ok(BACKENDS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    fn selected(names: &[&str], packages: &[&str]) -> Result<Vec<&'static str>> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(select(&names, packages)?.iter().map(|backend| backend.name).collect())
    }

    #[test]
    fn without_a_name_all_that_exist_are_meant() {
        assert_eq!(
            selected(&[], &["xtask", "cred-store-k8s", "cred-store-local"]).unwrap(),
            ["local", "k8s"]
        );
    }

    #[test]
    fn a_backend_that_is_named_must_exist() {
        let packages = ["cred-store-vault"];
        assert_eq!(selected(&["vault", "vault"], &packages).unwrap(), ["vault"]);
        for name in ["local", "valt"] {
            assert!(selected(&["vault", name], &packages).is_err());
        }
    }

    #[test]
    fn a_backends_programs_are_its_own_and_those_of_others_that_are_named_after_it() {
        let vault = find("vault").unwrap();
        for (package, program, expected) in [
            ("cred-store-vault", "integration", true),
            ("cred-store-vault", "integration_memory", true),
            ("cred-store-vault", "describe", false),
            ("cred-cli", "integration_vault", true),
            ("cred-cli", "integration_aws", false),
            ("cred-store-aws", "integration", false),
        ] {
            assert_eq!(vault.tests_itself_by(package, program), expected, "{package} {program}");
        }
    }

    #[test]
    fn every_server_of_a_backend_is_in_the_catalog() {
        for server in BACKENDS.iter().flat_map(|backend| backend.servers) {
            assert!(servers::find(server).is_some(), "{server}");
        }
    }
}
