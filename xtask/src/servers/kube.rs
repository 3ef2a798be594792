//! kube-apiserver over etcd: namespaces, secrets and RBAC are real; no controller runs.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Environment;
use super::probe::Probe;
use super::process::{Plan, Setup, free_port, random, token, write};

const ETCD: &str = "CRED_TEST_ETCD_ADDR";

pub(super) fn plan_etcd(setup: &Setup<'_>) -> Result<Plan> {
    let client = format!("http://127.0.0.1:{}", free_port()?);
    let peer = "http://127.0.0.1:0"; // a cluster of one: no peer ever connects
    let environment = vec![(ETCD.to_owned(), client.clone())];
    let args = [
        format!("--data-dir={}", text(&setup.folder.join("data"))),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(), // nothing in it outlives the run
    ];
    Ok(Plan { args: args.into(), variables: Vec::new(), ready: probe_etcd(&environment), environment })
}

pub(super) fn probe_etcd(environment: &Environment) -> Probe {
    Probe::below(environment, ETCD, "/health")
}

/// The kubeconfig has two contexts: `admin` may do everything, `nobody` is known and may do nothing.
pub(super) fn plan(setup: &Setup<'_>) -> Result<Plan> {
    let etcd = setup.environment.iter().find(|(name, _)| name == ETCD);
    let (_, etcd) = etcd.context("kube-apiserver needs etcd")?;
    let [tokens, key, certificates, config] =
        ["tokens.csv", "service-accounts.pem", "certificates", "kubeconfig"]
            .map(|name| setup.folder.join(name));
    let (port, admin, nobody) = (free_port()?, token()?, token()?);
    let server = format!("https://127.0.0.1:{port}");
    let ca = text(&certificates.join("apiserver.crt"));
    write(&tokens, &format!("{admin},admin,1,\"system:masters\"\n{nobody},nobody,2,\"\"\n"))?;
    write(&key, &signing_key(&random()?))?;
    write(&config, &kubeconfig(&server, &ca, &[("admin", &admin), ("nobody", &nobody)])?)?;
    let args = [
        format!("--etcd-servers={etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", text(&certificates)),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", text(&key)),
        format!("--service-account-signing-key-file={}", text(&key)),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", text(&tokens)),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(), // there is no controller to make the accounts
        "--anonymous-auth=false".to_owned(),
    ];
    let ready = Probe {
        url: format!("{server}/readyz"),
        ca: Some(ca),
        header: Some(format!("Authorization: Bearer {admin}")),
        redis_password: None,
    };
    let mut environment = vec![("CRED_TEST_K8S_KUBECONFIG".to_owned(), text(&config))];
    // A test that restarts an API server, or signs for one, starts it itself: this one is everybody's.
    environment
        .extend(setup.words.first().map(|program| ("CRED_TEST_K8S_PROGRAM".to_owned(), program.clone())));
    Ok(Plan { args: args.into(), variables: Vec::new(), environment, ready })
}

fn kubeconfig(server: &str, ca: &str, users: &[(&str, &str)]) -> Result<String> {
    let mut text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: admin\nclusters:\n- name: test\n  cluster:\n    \
         server: {server}\n    certificate-authority: {ca}\nusers:\n"
    );
    for (name, token) in users {
        write!(text, "- name: {name}\n  user:\n    token: {token}\n")?;
    }
    text += "contexts:\n";
    for (name, _) in users {
        write!(
            text,
            "- name: {name}\n  context:\n    cluster: test\n    user: {name}\n    namespace: default\n"
        )?;
    }
    Ok(text)
}

/// An EC key as RFC 5915 writes it: the version, the number and the name of the curve (P-256). The public half
/// may be left out; whoever reads it computes it. Any 32 bytes do but for one choice in 2^32.
fn signing_key(number: &[u8; 32]) -> String {
    let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    der.extend(number);
    der.extend([0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
    let body = BASE64_STANDARD.encode(der);
    let (first, second) = body.split_at(64); // of 68: lines of PEM have 64 characters
    format!("-----BEGIN EC PRIVATE KEY-----\n{first}\n{second}\n-----END EC PRIVATE KEY-----\n")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_signing_key_has_the_lengths_that_it_tells() {
        let pem = signing_key(&[7; 32]);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(body).unwrap();
        assert_eq!(usize::from(der[1]), der.len() - 2);
        assert_eq!(der[7..39], [7; 32]);
        assert!(pem.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn the_kubeconfig_has_a_context_for_each_user_and_matches_the_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let environment = vec![(ETCD.to_owned(), "http://127.0.0.1:1".to_owned())];
        let words = ["/x/kube-apiserver".to_owned()];
        let setup = Setup { folder: folder.path(), environment: &environment, words: &words };
        let plan = plan(&setup).unwrap();
        let [(name, path), program] = plan.environment.as_slice() else { panic!("two variables") };
        assert_eq!(name, "CRED_TEST_K8S_KUBECONFIG");
        assert_eq!(*program, ("CRED_TEST_K8S_PROGRAM".to_owned(), words[0].clone()));
        let config = fs::read_to_string(path).unwrap();
        let tokens = fs::read_to_string(folder.path().join("tokens.csv")).unwrap();
        for (line, user) in tokens.lines().zip(["admin", "nobody"]) {
            let token = line.split(',').next().unwrap();
            assert!(config.contains(&format!("- name: {user}\n  user:\n    token: {token}\n")), "{config}");
            assert!(config.contains(&format!("    user: {user}\n")), "{config}");
        }
        assert!(plan.args.contains(&"--etcd-servers=http://127.0.0.1:1".to_owned()));
    }

    #[test]
    fn without_etcd_there_is_no_plan() {
        let setup = Setup { folder: Path::new("x"), environment: &Vec::new(), words: &[] };
        assert!(plan(&setup).is_err());
    }
}
