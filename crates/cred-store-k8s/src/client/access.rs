//! Finds the cluster and the identity in files, as `kubectl` and the clients in a pod do.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cred_provider_kit::Env;
use http::Uri;
use kube::Config;
use kube::config::{Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The folder in a pod with the files of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A cluster and the identity for its requests.
pub(crate) struct ClusterAccess(Config);

/// Why the cluster or the identity could not be determined. The text continues a sentence that
/// begins with the field.
#[derive(Debug)]
pub(crate) struct AccessError {
    pub(crate) field: &'static str,
    pub(crate) text: String,
}

impl AccessError {
    fn new(text: impl Into<String>) -> Self {
        Self { field: "kubeconfig_path", text: text.into() }
    }
}

impl ClusterAccess {
    /// Reads the given file; if none is given, the files that the environment names; if none of
    /// them exists, the service account of the pod.
    pub(crate) fn find(
        path: Option<&Path>,
        context: Option<&str>,
        env: &dyn Env,
    ) -> Result<Self, AccessError> {
        let found = match path {
            Some(path) => Some(read(&expand_home(path, env)?)?),
            None => from_environment(env)?,
        };
        let config = match found {
            Some(kubeconfig) => from_kubeconfig(kubeconfig, context)?,
            None if context.is_some() => {
                let text = "is set, but no kubeconfig was found that could contain it; set `kubeconfig_path`";
                return Err(AccessError { field: "context", text: text.to_owned() });
            }
            None => in_cluster(Path::new(SERVICE_ACCOUNT), env)?,
        };
        check_security(&config)?;
        Ok(Self(config))
    }

    pub(super) fn into_config(self) -> Config {
        self.0
    }
}

/// Expands a leading `~/`, as a shell would.
fn expand_home(path: &Path, env: &dyn Env) -> Result<PathBuf, AccessError> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(path.to_owned()) };
    let home = env.get("HOME").ok_or_else(|| AccessError::new("begins with `~`, but `HOME` is not set"))?;
    Ok(Path::new(&home).join(rest))
}

/// Reads the files of `KUBECONFIG` that exist, or `~/.kube/config`. `None`: none of them exists.
fn from_environment(env: &dyn Env) -> Result<Option<Kubeconfig>, AccessError> {
    let paths: Vec<_> = match env.get("KUBECONFIG") {
        Some(list) => std::env::split_paths(&list).collect(),
        None => env.get("HOME").map(|home| Path::new(&home).join(".kube/config")).into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| !path.as_os_str().is_empty() && path.exists()) {
        let named = |AccessError { field, text }| AccessError {
            field,
            text: format!("(`{}`) {text}", path.display()),
        };
        let next = read(path).map_err(named)?;
        merged = Some(match merged {
            Some(first) => first.merge(next).map_err(|error| explain(&error))?,
            None => next,
        });
    }
    Ok(merged)
}

/// Reads a kubeconfig. The error does not repeat the path, because a value in the configuration may
/// be a secret that was written into the wrong line.
fn read(path: &Path) -> Result<Kubeconfig, AccessError> {
    Kubeconfig::read_from(path).map_err(|error| explain(&error))
}

fn from_kubeconfig(mut kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Config, AccessError> {
    if let Some(context) = context {
        kubeconfig.current_context = Some(context.to_owned());
    }
    let has_proxy = cluster(&kubeconfig)
        .and_then(|cluster| cluster.proxy_url.as_deref())
        .is_some_and(|url| !url.is_empty());
    if has_proxy {
        return Err(AccessError::new(
            "names a proxy for its cluster, which is not supported; pass a client that uses the proxy to `with_client`",
        ));
    }
    let mut config = Config::try_from(kubeconfig).map_err(|error| explain(&error))?;
    // kube takes it from the environment; this provider connects directly.
    config.proxy_url = None;
    Ok(config)
}

/// Returns the cluster of the current context.
fn cluster(kubeconfig: &Kubeconfig) -> Option<&kube::config::Cluster> {
    let current = kubeconfig.current_context.as_ref()?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == *current)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?;
    cluster.cluster.as_ref()
}

fn in_cluster(folder: &Path, env: &dyn Env) -> Result<Config, AccessError> {
    let address = (env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT"));
    let (Some(host), Some(port)) = address else {
        return Err(AccessError::new(
            "is not set, and neither a kubeconfig (`KUBECONFIG`, `~/.kube/config`) nor the service account of a pod was \
             found; set it to a kubeconfig",
        ));
    };
    let host = if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { format!("[{host}]") } else { host };
    let uri: Uri = format!("https://{host}:{port}")
        .parse()
        .map_err(|_| AccessError::new("is not set, and KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not an address; correct them"))?;
    let authorities = folder.join("ca.crt");
    let mut config = Config::new(uri);
    config.root_cert = Some(certificates(&authorities)?);
    // kube reads this file again from time to time, because authorities are replaced as well.
    config.root_cert_file = Some(authorities);
    config.auth_info.token_file = Some(folder.join("token").to_string_lossy().into_owned());
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, AccessError> {
    let unusable = || {
        let text =
            format!("is not set, and the pod's `{}` contains no readable certificates", path.display());
        AccessError::new(text)
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|_| unusable())?;
    let found = found.map(|one| one.map(|one| one.to_vec())).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(unusable)
}

/// Refuses settings that would send the token to a server that is not verified.
fn check_security(config: &Config) -> Result<(), AccessError> {
    let host = config.cluster_url.host().unwrap_or_default();
    match config.cluster_url.scheme_str() {
        Some("https") if config.accept_invalid_certs => Err(AccessError::new(
            "skips the verification of TLS, so any server could pose as the cluster and receive the token; set \
             `certificate-authority` instead",
        )),
        Some("https") => Ok(()),
        Some("http") if is_loopback(host) => Ok(()),
        Some("http") => Err(AccessError::new("would send the token unencrypted to another host; use https")),
        _ => {
            Err(AccessError::new("has a cluster whose address is not a URL; write it as `https://host:6443`"))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    number.map_or(host == "localhost", |number| number.is_loopback())
}

/// Describes an error. kube's text is not used, because it may quote a part of the file, such as a
/// token.
fn explain(error: &KubeconfigError) -> AccessError {
    AccessError::new(match error {
        KubeconfigError::ReadConfig(error, _) => {
            format!("cannot be read ({}); set it to a file that this process can read", error.kind())
        }
        KubeconfigError::Parse(_) => "is not a kubeconfig; set it to one that `kubectl` accepts".to_owned(),
        KubeconfigError::CurrentContextNotSet => "has no current context; set `context`".to_owned(),
        // Without the name of the context, which may come from the configuration.
        KubeconfigError::LoadContext(_) => {
            return AccessError {
                field: "context",
                text: "is not in the kubeconfig; set it to one that `kubectl config get-contexts` lists"
                    .to_owned(),
            };
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("has no cluster `{name}`, which its context names; correct the context")
        }
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            "has a cluster whose address is not a URL; write it as `https://host:6443`".to_owned()
        }
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "names an authority that cannot be read or is not PEM; correct `certificate-authority`".to_owned()
        }
        KubeconfigError::ParseProxyUrl(_) => {
            "cannot be used while `HTTPS_PROXY` is not a URL; correct or unset the variable".to_owned()
        }
        _ => "cannot be used; set it to one that `kubectl` accepts".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cred_provider_kit::MapEnv;

    use super::*;

    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: one\nclusters:\n- name: c\n  cluster: {{{cluster}}}\nusers:\n- name: \
             u\n  user: {{{user}}}\ncontexts:\n- name: one\n  context: {{cluster: c, user: u}}\n- name: two\n  context: {{cluster: \
             elsewhere, user: u}}\n"
        )
    }

    fn found(cluster: &str, context: Option<&str>) -> Result<Config, AccessError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, kubeconfig(cluster, "token: hunter2")).unwrap();
        ClusterAccess::find(Some(&path), context, &MapEnv::default()).map(ClusterAccess::into_config)
    }

    #[test]
    fn settings_that_would_expose_the_token_are_refused() {
        for (cluster, words) in [
            ("server: \"http://10.0.0.1:8080\"", "unencrypted"),
            ("server: \"https://10.0.0.1\", insecure-skip-tls-verify: true", "skips the verification"),
            ("server: \"https://10.0.0.1\", proxy-url: \"http://proxy:3128\"", "proxy"),
            ("server: \"10.0.0.1\"", "not a URL"),
            ("server: \"ftp://10.0.0.1\"", "not a URL"),
            ("certificate-authority: /does/not/exist, server: \"https://10.0.0.1\"", "authority"),
        ] {
            let problem = found(cluster, None).unwrap_err();
            assert!(problem.text.contains(words) && !problem.text.contains("hunter2"), "{problem:?}");
            assert_eq!(problem.field, "kubeconfig_path");
        }
        for cluster in [
            "server: \"https://10.0.0.1\"",
            "server: \"http://127.0.0.1:8001\"",
            "server: \"http://[::1]:1\"",
        ] {
            assert!(found(cluster, None).is_ok(), "{cluster}");
        }
    }

    #[test]
    fn a_context_is_selected_by_name_or_reported_as_missing() {
        let cluster = "server: \"https://10.0.0.1\"";
        assert!(found(cluster, Some("one")).is_ok());
        assert_eq!(found(cluster, Some("three")).unwrap_err().field, "context");
        assert!(found(cluster, Some("two")).unwrap_err().text.contains("no cluster `elsewhere`"));
    }

    #[test]
    fn an_invalid_kubeconfig_is_not_quoted_and_named_only_if_the_environment_selected_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let problem =
            |path: &Path| ClusterAccess::find(Some(path), None, &MapEnv::default()).err().unwrap().text;
        assert!(problem(&path).contains("cannot be read"));
        for text in ["users: [hunter2", "users: hunter2", "hunter2"] {
            fs::write(&path, text).unwrap();
            // The field is named, but its value may be a secret in the wrong line.
            let text = problem(&path);
            assert!(!text.contains("hunter2") && !text.contains(path.to_str().unwrap()), "{text}");
            let env = MapEnv::from([("KUBECONFIG", path.to_str().unwrap())]);
            let text = ClusterAccess::find(None, None, &env).err().unwrap().text;
            assert!(!text.contains("hunter2") && text.contains(path.to_str().unwrap()), "{text}");
        }
        assert!(problem(Path::new("~/config")).contains("`HOME` is not set"));
    }

    #[test]
    fn the_environment_is_searched_like_kubectl() {
        let folder = tempfile::tempdir().unwrap();
        let (home, listed) = (folder.path().join(".kube/config"), folder.path().join("listed"));
        fs::create_dir(folder.path().join(".kube")).unwrap();
        fs::write(&home, kubeconfig("server: \"https://home\"", "")).unwrap();
        fs::write(&listed, kubeconfig("server: \"https://listed\"", "")).unwrap();
        let of = |list: &str| {
            let env = MapEnv::from([("HOME", folder.path().to_str().unwrap()), ("KUBECONFIG", list)]);
            let found = ClusterAccess::find(None, None, &env).map(ClusterAccess::into_config);
            found.map(|config| config.cluster_url.host().unwrap().to_owned())
        };
        assert_eq!(of("").unwrap(), "home");
        let list = std::env::join_paths([Path::new("/does/not/exist"), &listed, &home]).unwrap();
        assert_eq!(of(list.to_str().unwrap()).unwrap(), "listed", "the first file that exists wins");
        fs::write(&home, "broken: [").unwrap();
        assert!(of("").is_err(), "an invalid kubeconfig does not fall back to another identity");
        assert!(of("/does/not/exist").unwrap_err().text.contains("nor the service account of a pod"));
    }

    #[test]
    fn a_pod_uses_its_service_account() {
        let folder = tempfile::tempdir().unwrap();
        let env = |host: &'static str| {
            MapEnv::from([("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", "6443")])
        };
        assert!(in_cluster(folder.path(), &env("10.0.0.1")).unwrap_err().text.contains("ca.crt"));
        // The certificate is not parsed, so any DER will do.
        let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        fs::write(folder.path().join("ca.crt"), pem).unwrap();
        for (host, expected) in
            [("10.0.0.1", "https://10.0.0.1:6443/"), ("fd00::1", "https://[fd00::1]:6443/")]
        {
            let config = in_cluster(folder.path(), &env(host)).unwrap();
            assert_eq!(config.cluster_url.to_string(), expected);
            assert_eq!(
                config.auth_info.token_file,
                Some(folder.path().join("token").to_str().unwrap().to_owned())
            );
            assert_eq!(config.root_cert_file, Some(folder.path().join("ca.crt")));
        }
    }
}
