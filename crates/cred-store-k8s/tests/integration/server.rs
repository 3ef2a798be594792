//! An API server for one test, over the shared etcd, which can be killed and restarted.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cred_testing::value::{fresh, variable};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::admin::{Admin, kubeconfig};

/// A server that ends when this is dropped.
pub(crate) struct ApiServer {
    folder: TempDir,
    /// Bound to the port of the server, so that no other process gets it while the server is down.
    reserved: TcpSocket,
    prefix: String,
    /// Arguments in addition to the usual ones.
    args: &'static [&'static str],
    /// Signs the tokens of service accounts.
    key: EcdsaKeyPair,
    process: Child,
    pub(crate) kubeconfig: PathBuf,
}

impl ApiServer {
    pub(crate) async fn start(args: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseport(true).unwrap();
        reserved.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = reserved.local_addr().unwrap().port();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = pem("PRIVATE KEY", key.to_pkcs8v1().unwrap().as_ref());
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        std::fs::write(folder.path().join("private.pem"), private).unwrap();
        std::fs::write(folder.path().join("public.pem"), pem("PUBLIC KEY", public.as_ref())).unwrap();
        let token = fresh();
        std::fs::write(folder.path().join("tokens.csv"), format!("{token},admin,1,\"system:masters\"\n"))
            .unwrap();
        let server = format!("https://127.0.0.1:{port}");
        let ca = folder.path().join("certificates/apiserver.crt");
        let kubeconfig = kubeconfig(folder.path(), &server, Some(&ca), json!({"token": token}));
        let prefix = format!("/test-{}", fresh());
        let process = spawn(folder.path(), port, &prefix, args);
        let server = Self { folder, reserved, prefix, args, key, process, kubeconfig };
        server.ready().await;
        server
    }

    fn port(&self) -> u16 {
        self.reserved.local_addr().unwrap().port()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    /// Ends it without a shutdown, like a machine that fails.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Starts it again, with the same data.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(self.folder.path(), self.port(), &self.prefix, self.args);
        self.ready().await;
    }

    async fn ready(&self) {
        let begun = Instant::now();
        loop {
            if self.ca().exists() && tokio::net::TcpStream::connect(("127.0.0.1", self.port())).await.is_ok()
            {
                let admin = Admin::of(&self.kubeconfig).await;
                if admin.try_ask("/readyz").await == Some(200) {
                    return;
                }
            }
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(90), "the API server is not ready: {}", log());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Signs a token of a service account as the API server does, but with a chosen lifetime: the
    /// server itself issues none of less than ten minutes.
    pub(crate) fn token(&self, account: &Value, expires_at: u64) -> String {
        let (namespace, name) = (&account["metadata"]["namespace"], &account["metadata"]["name"]);
        let issuer = "https://kubernetes.default.svc";
        let claims = json!({
            "iss": issuer,
            "aud": [issuer],
            "sub": format!("system:serviceaccount:{}:{}", namespace.as_str().unwrap(), name.as_str().unwrap()),
            "iat": expires_at - 600,
            "nbf": expires_at - 600,
            "exp": expires_at,
            "jti": fresh(),
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
            },
        });
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "ES256", "typ": "JWT"})), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn spawn(folder: &Path, port: u16, prefix: &str, args: &[&str]) -> Child {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    Command::new(variable("CRED_TEST_K8S_PROGRAM"))
        .args([
            format!("--etcd-servers={}", variable("CRED_TEST_ETCD_ADDR")),
            format!("--etcd-prefix={prefix}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            "--permit-port-sharing".to_owned(), // with the socket that reserves the port
            format!("--cert-dir={}", file("certificates")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("public.pem")),
            format!("--service-account-signing-key-file={}", file("private.pem")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--anonymous-auth=false".to_owned(),
        ])
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}
