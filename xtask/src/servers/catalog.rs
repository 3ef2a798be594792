//! The servers that there are. A new one is an entry here and a module with its command line.

use anyhow::{Context, Result};

use super::probe::Probe;
use super::process::{Plan, Setup};
use super::recipe::{Kind, Recipe};
use super::{Environment, keyvault, kube, moto, redis, vault};

/// One server: one process on loopback.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// What test programs need to know. Somebody who sets these has given a server of their own: all of them,
    /// since the first alone would leave the tests half blind.
    pub(super) variables: &'static [&'static str],
    /// Servers that must be up before it.
    pub(super) needs: &'static [&'static str],
    /// What it may be called on `PATH`, the best first. None: it is never there.
    pub(super) programs: &'static [&'static str],
    /// Makes such a program tell its version, or at least prove that it runs.
    pub(super) version: &'static [&'static str],
    /// How to build or install it.
    pub(super) recipe: Recipe,
    /// How to start it.
    pub(super) plan: fn(&Setup<'_>) -> Result<Plan>,
    /// How to see whether one that was given answers; `None`: only the tests can tell.
    pub(super) given: Option<fn(&Environment) -> Probe>,
}

const VAULT: Recipe = Recipe {
    name: "vault",
    folder: "vault",
    component: "github.com/hashicorp/vault",
    kind: Kind::Go { package: "github.com/hashicorp/vault" },
    takes: "11 minutes",
};

static SERVERS: [Server; 8] = [
    Server {
        name: "vault",
        variables: &["CRED_TEST_VAULT_ADDR", "CRED_TEST_VAULT_TOKEN"],
        needs: &[],
        programs: &["vault", "bao"],
        version: &["version"],
        recipe: VAULT,
        plan: vault::plan,
        given: Some(vault::probe),
    },
    Server {
        name: "vault-tls",
        variables: &["CRED_TEST_VAULT_TLS_ADDR", "CRED_TEST_VAULT_TLS_TOKEN", "CRED_TEST_VAULT_CA"],
        needs: &[],
        programs: &["vault", "bao"],
        version: &["version"],
        recipe: VAULT,
        plan: vault::plan_tls,
        given: Some(vault::probe_tls),
    },
    Server {
        name: "moto",
        variables: &["CRED_TEST_AWS_ENDPOINT"],
        needs: &[],
        programs: &["moto_server"],
        version: &["--help"],
        recipe: Recipe {
            name: "moto",
            folder: "moto",
            component: "moto",
            kind: Kind::Pip { module: "moto.server" },
            takes: "1 minute",
        },
        plan: moto::plan,
        given: None, // it need not be moto
    },
    Server {
        name: "etcd",
        variables: &["CRED_TEST_ETCD_ADDR"],
        needs: &[],
        programs: &["etcd"],
        version: &["--version"],
        recipe: Recipe {
            name: "etcd",
            folder: "kube",
            component: "go.etcd.io/etcd/server/v3",
            kind: Kind::Go { package: "go.etcd.io/etcd/server/v3" },
            takes: "1 minute",
        },
        plan: kube::plan_etcd,
        given: Some(kube::probe_etcd),
    },
    Server {
        name: "kube-apiserver",
        variables: &["CRED_TEST_K8S_KUBECONFIG"],
        needs: &["etcd"],
        programs: &["kube-apiserver"],
        version: &["--version"],
        recipe: Recipe {
            name: "kube-apiserver",
            folder: "kube",
            component: "k8s.io/kubernetes",
            kind: Kind::Go { package: "k8s.io/kubernetes/cmd/kube-apiserver" },
            takes: "5 minutes",
        },
        plan: kube::plan,
        given: None,
    },
    Server {
        name: "keyvault",
        variables: &[
            "CRED_TEST_AZURE_VAULT_URL",
            "CRED_TEST_AZURE_TENANT_ID",
            "CRED_TEST_AZURE_CLIENT_ID",
            "CRED_TEST_AZURE_CLIENT_SECRET",
            "CRED_TEST_AZURE_AUTHORITY",
            "CRED_TEST_AZURE_CA",
        ],
        needs: &[],
        programs: &[],
        version: &[],
        recipe: Recipe {
            name: "keyvault",
            folder: "keyvault-double",
            component: "cred-keyvault-double",
            kind: Kind::Workspace { package: "cred-keyvault-double" },
            takes: "1 minute",
        },
        plan: keyvault::plan,
        given: None,
    },
    Server {
        name: "keyvault-referee",
        variables: &["CRED_TEST_KEYVAULT_REFEREE_ADDR"],
        needs: &["keyvault"],
        programs: &[],
        version: &[],
        recipe: Recipe {
            name: "keyvault-referee",
            folder: "keyvault-referee",
            component: "azure-keyvault-secrets",
            kind: Kind::Pip { module: "referee" },
            takes: "1 minute",
        },
        plan: keyvault::plan_referee,
        given: Some(keyvault::probe_referee),
    },
    Server {
        name: "redis",
        variables: &["CRED_TEST_REDIS_ADDR", "CRED_TEST_REDIS_PASSWORD"],
        needs: &[],
        programs: &["redis-server"],
        version: &["--version"],
        recipe: Recipe {
            name: "redis",
            folder: "redis",
            component: "redis-server",
            kind: Kind::Debian { program: "redis-server" },
            takes: "5 seconds",
        },
        plan: redis::plan,
        given: Some(redis::probe),
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.name == name)
}

pub(crate) fn names() -> Vec<&'static str> {
    SERVERS.iter().map(|server| server.name).collect()
}

/// The servers of these names, each once; all where there is none.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Server>> {
    if names.is_empty() {
        return Ok(SERVERS.iter().collect());
    }
    let unknown =
        |name: &String| format!("there is no server {name}; there are {}", self::names().join(", "));
    names.iter().map(|name| find(name).with_context(|| unknown(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_there_and_pins_its_version() {
        for server in &SERVERS {
            assert!(server.recipe.folder().is_dir(), "{}", server.name);
            let version = server.recipe.version().unwrap();
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{} {version}", server.name);
        }
    }

    #[test]
    fn needs_and_names_are_consistent() {
        for server in &SERVERS {
            assert!(!server.variables.is_empty());
            assert!(server.needs.iter().all(|needed| find(needed).is_some()));
            assert_eq!(SERVERS.iter().filter(|other| other.name == server.name).count(), 1);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = select(&["valt".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("valt") && error.contains("vault-tls"), "{error}");
    }
}
