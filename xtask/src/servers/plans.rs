//! How each server is started: its arguments and files, and what test programs need to reach it.
//!
//! Every server binds 127.0.0.1 alone. Secrets are random in each run and are passed in variables
//! and files, never as arguments, which every user of the machine can read.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Environment;
use super::probe::Probe;
use super::process::{free_port, token};
use crate::workspace;

/// Where and with what a server is started.
pub(super) struct Setup<'a> {
    /// For its files: empty, accessible to this user alone, removed when the server has ended.
    pub(super) folder: &'a Path,
    pub(super) program: &'a Path,
    /// The names of the variables that test programs read.
    pub(super) variables: &'static [&'static str],
    /// Of the servers that are up already.
    pub(super) environment: &'a Environment,
}

pub(super) struct Plan {
    pub(super) args: Vec<String>,
    /// Variables of the server itself.
    pub(super) variables: Environment,
    /// Variables of the test programs.
    pub(super) environment: Environment,
    pub(super) ready: Probe,
}

/// Vault or OpenBao in development mode: unsealed, in memory, with KV v2 at `secret/`.
pub(super) fn vault(setup: &Setup<'_>) -> Result<Plan> {
    vault_plan(setup, "http", &[])
}

/// Another server, since development mode listens either with TLS or without.
pub(super) fn vault_tls(setup: &Setup<'_>) -> Result<Plan> {
    vault_plan(setup, "https", &["-dev-tls", &format!("-dev-tls-cert-dir={}", setup.folder.display())])
}

fn vault_plan(setup: &Setup<'_>, scheme: &str, tls: &[&str]) -> Result<Plan> {
    let (port, token, ca) = (free_port()?, token()?, setup.file("vault-ca.pem"));
    let listen = format!("-dev-listen-address=127.0.0.1:{port}");
    let args = words(&[&["server", "-dev", &listen, "-dev-no-store-token"], tls].concat());
    // Without TLS, no variable is for the certificate.
    let plan = setup.plan(args, &[&format!("{scheme}://127.0.0.1:{port}"), &token, &ca], "/v1/sys/health");
    Ok(Plan {
        variables: pairs(&["VAULT_DEV_ROOT_TOKEN_ID", "BAO_DEV_ROOT_TOKEN_ID"], &[&token, &token]),
        ..plan
    })
}

/// A double of AWS. Where it differs from AWS, tests with scripted answers complete it.
pub(super) fn moto(setup: &Setup<'_>) -> Result<Plan> {
    let port = free_port()?.to_string();
    let args = words(&["-H", "127.0.0.1", "-p", &port]);
    Ok(setup.plan(args, &[&format!("http://127.0.0.1:{port}")], "/moto-api/"))
}

pub(super) fn etcd(setup: &Setup<'_>) -> Result<Plan> {
    let client = format!("http://127.0.0.1:{}", free_port()?);
    let args = words(&[
        "--data-dir=data",
        &format!("--listen-client-urls={client}"),
        &format!("--advertise-client-urls={client}"),
        "--listen-peer-urls=http://127.0.0.1:0", // a cluster of one: no peer ever connects
        "--unsafe-no-fsync",                     // no data outlives the run
    ]);
    Ok(setup.plan(args, &[&client], "/health"))
}

/// Namespaces, secrets and RBAC work; no controller runs. The kubeconfig has two contexts: `admin`
/// has every right, `nobody` is authenticated and has none.
pub(super) fn kube_apiserver(setup: &Setup<'_>) -> Result<Plan> {
    let etcd = setup.environment.iter().find(|(name, _)| name == "CRED_TEST_ETCD_ADDR");
    let (_, etcd) = etcd.context("kube-apiserver needs etcd")?;
    let (port, admin, nobody) = (free_port()?, token()?, token()?);
    let server = format!("https://127.0.0.1:{port}");
    let [config, ca, key] = ["kubeconfig", "apiserver.crt", "apiserver.key"].map(|name| setup.file(name));
    // not prose: `nobody` is a user without rights
    setup.write("tokens.csv", &format!("{admin},admin,1,\"system:masters\"\n{nobody},nobody,2,\"\"\n"))?;
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: admin\n\
         clusters:\n- name: test\n  cluster: {{server: '{server}', certificate-authority: '{ca}'}}\n\
         users:\n- name: admin\n  user: {{token: {admin}}}\n- name: nobody\n  user: {{token: {nobody}}}\n\
         contexts:\n- name: admin\n  context: {{cluster: test, user: admin, namespace: default}}\n\
         - name: nobody\n  context: {{cluster: test, user: nobody, namespace: default}}\n"
    );
    setup.write("kubeconfig", &kubeconfig)?;
    let args = words(&[
        &format!("--etcd-servers={etcd}"),
        "--bind-address=127.0.0.1",
        &format!("--secure-port={port}"),
        // It writes a certificate there; its key also signs the tokens of service accounts.
        &format!("--cert-dir={}", setup.folder.display()),
        "--service-account-issuer=https://kubernetes.default.svc",
        &format!("--service-account-key-file={key}"),
        &format!("--service-account-signing-key-file={key}"),
        "--authorization-mode=RBAC",
        "--token-auth-file=tokens.csv",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount", // no controller makes the accounts
        "--anonymous-auth=false",
    ]);
    let mut plan = setup.plan(args, &[&config], "");
    // Tests share this server: one that restarts it, or signs tokens for it, starts another.
    plan.environment.extend(pairs(&["CRED_TEST_K8S_PROGRAM"], &[&setup.program.to_string_lossy()]));
    plan.ready = Probe { url: format!("{server}/readyz"), ca: Some(ca), bearer_token: Some(admin) };
    Ok(plan)
}

/// A double of Azure Key Vault, of this workspace. Deletions and recoveries take seconds, as in
/// Azure.
pub(super) fn keyvault(setup: &Setup<'_>) -> Result<Plan> {
    let (port, secret, ca) = (free_port()?.to_string(), token()?, setup.file("authority.pem"));
    let (tenant, client) = ("11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000");
    let address = format!("https://127.0.0.1:{port}");
    let times = ["--deletion-ms", "2000", "--recovery-ms", "2000", "--purge-ms", "1000"];
    let args = ["--port", &port, "--ca-file", &ca, "--tenant-id", tenant, "--client-id", client];
    let args = words(&[&times[..], &args].concat());
    let plan = setup.plan(args, &[&address, tenant, client, &secret, &address, &ca], "/double/health");
    Ok(Plan { variables: pairs(&["KEYVAULT_DOUBLE_CLIENT_SECRET"], &[&secret]), ..plan })
}

/// Microsoft's own client, which checks the Key Vault.
pub(super) fn keyvault_referee(setup: &Setup<'_>) -> Result<Plan> {
    let mut plan = referee(setup, "keyvault-referee")?;
    plan.variables.extend(setup.environment.iter().cloned());
    Ok(plan)
}

/// Programs that read .env files, and report what each of them found.
pub(super) fn dotenv_referee(setup: &Setup<'_>) -> Result<Plan> {
    referee(setup, "dotenv-referee")
}

/// A Python module in a folder of `servers/`.
fn referee(setup: &Setup<'_>, folder: &str) -> Result<Plan> {
    let port = free_port()?.to_string();
    let module = workspace::root().join("servers").join(folder);
    let mut plan = setup.plan(vec![port.clone()], &[&format!("http://127.0.0.1:{port}")], "/health");
    // Python writes nothing beside the sources.
    plan.variables = pairs(&["PYTHONPATH", "PYTHONDONTWRITEBYTECODE"], &[&module.to_string_lossy(), "1"]);
    Ok(plan)
}

/// In memory alone, with a password.
pub(super) fn redis(setup: &Setup<'_>) -> Result<Plan> {
    let (port, password) = (free_port()?, token()?);
    let settings = format!("bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\n");
    setup.write("redis.conf", &settings)?;
    Ok(setup.plan(words(&["redis.conf"]), &[&format!("127.0.0.1:{port}"), &password], ""))
}

impl Setup<'_> {
    /// With the values of the server's variables, the address first, and the path that it answers.
    fn plan(&self, args: Vec<String>, values: &[&str], health: &str) -> Plan {
        let environment = pairs(self.variables, values);
        Plan { args, variables: Vec::new(), ready: Probe::at(&environment, health), environment }
    }

    /// The path of a file in the server's folder.
    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn pairs(names: &[&str], values: &[&str]) -> Environment {
    names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
