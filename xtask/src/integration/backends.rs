//! The backends. A new one is an entry here.

use anyhow::{Result, bail};

use crate::test::Program;

#[derive(Debug, PartialEq)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// The servers that its tests may need, the backend itself first. Empty: no test needs one.
    pub(crate) servers: &'static [&'static str],
    /// The folder of its workspace, if it is not ours: an example, which represents
    /// third-party providers.
    pub(crate) outside: Option<&'static str>,
}

static BACKENDS: [Backend; 7] = [
    Backend { name: "local", package: "cred-store-local", servers: &[], outside: None },
    Backend { name: "vault", package: "cred-store-vault", servers: &["vault", "vault-tls"], outside: None },
    Backend { name: "aws", package: "cred-store-aws", servers: &["moto"], outside: None },
    // No registry has an emulator, so the tests use a double of the protocol, which Microsoft's
    // client checks.
    Backend {
        name: "azure",
        package: "cred-store-azure",
        servers: &["keyvault", "keyvault-referee"],
        outside: None,
    },
    Backend { name: "k8s", package: "cred-store-k8s", servers: &["kube-apiserver", "etcd"], outside: None },
    // Not a backend, but also other programs: the readers of the files of `cred export`.
    Backend { name: "dotenv", package: "cred-cli", servers: &["dotenv-referee"], outside: None },
    Backend {
        name: "redis",
        package: "provider-redis",
        servers: &["redis"],
        outside: Some("examples/provider-redis"),
    },
];

impl Backend {
    /// Whether a test program is one of the backend's.
    pub(super) fn runs(&self, program: &Program) -> bool {
        match self.servers {
            [] => program.package == self.package,
            _ => self.has_program(&program.package, &program.name),
        }
    }

    /// Whether a test program is named after it, or is one of its package and named after no
    /// other.
    pub(super) fn has_program(&self, package: &str, program: &str) -> bool {
        match program.strip_prefix("integration_").and_then(find) {
            Some(named) => named == self,
            None => package == self.package && program.starts_with("integration"),
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

/// The backends of these names, in the order of the table; all where none is named.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Backend>> {
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        let known: Vec<_> = BACKENDS.iter().map(|backend| backend.name).collect();
        bail!("unknown backend {unknown}; known: {}", known.join(", "));
    }
    let wanted = |backend: &&Backend| names.is_empty() || names.iter().any(|name| name == backend.name);
    Ok(BACKENDS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers;

    #[test]
    fn a_backend_is_found_by_its_name_its_programs_and_its_servers() {
        let vault = find("vault").unwrap();
        assert_eq!(select(&["vault", "vault"].map(str::to_owned)).unwrap(), [vault]);
        assert_eq!(select(&[]).unwrap().len(), BACKENDS.len());
        assert!(select(&["vault".to_owned(), "valt".to_owned()]).is_err());
        for (package, program, expected) in [
            ("cred-store-vault", "integration_memory", true),
            ("cred-store-vault", "describe", false),
            ("cred-cli", "integration_vault", true),
            ("cred-cli", "integration_aws", false),
            ("cred-cli", "integration_dotenv", false),
            ("cred-store-aws", "integration", false),
        ] {
            let program = Program::sample(package, program, "");
            assert_eq!(vault.runs(&program), expected, "{program:?}");
        }
        let dotenv = find("dotenv").unwrap();
        assert!(dotenv.has_program("cred-cli", "integration_dotenv"));
        assert!(!dotenv.has_program("cred-cli", "integration_vault"));
        for server in BACKENDS.iter().flat_map(|backend| backend.servers) {
            assert!(servers::find(server).is_some(), "{server}");
        }
    }
}
