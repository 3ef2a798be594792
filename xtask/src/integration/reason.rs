//! How a test says which real servers it needs: by the reason that it is ignored for.
//!
//! `needs a real server: cargo xtask test-integration vault` needs the first server of the backend `vault`;
//! `... vault (with vault-tls)` needs this one besides.

use anyhow::{Context, Result, bail};

use super::backends::{self, Backend};

/// What a reason begins with that this module reads.
pub(crate) const PREFIX: &str = "needs a real server";

const COMMAND: &str = ": cargo xtask test-integration ";

#[derive(Debug, PartialEq)]
pub(crate) struct Reason {
    pub(crate) backend: &'static Backend,
    pub(crate) servers: Vec<&'static str>,
}

impl Reason {
    /// `None`: the test is ignored for another reason.
    pub(crate) fn read(text: &str) -> Result<Option<Self>> {
        let Some(rest) = text.strip_prefix(PREFIX) else { return Ok(None) };
        let rest = rest.strip_prefix(COMMAND).with_context(|| {
            format!("`{text}` is not understood; write `{PREFIX}{COMMAND}BACKEND (with SERVER, SERVER)`")
        })?;
        let (name, others) = match rest.split_once(" (with ") {
            Some((name, list)) => (name, list.strip_suffix(')').context("a `(with ...` without its end")?),
            None => (rest, ""),
        };
        let backend = backends::find(name).with_context(|| format!("there is no backend `{name}`"))?;
        let own = backend.servers.first().with_context(|| format!("{name} has no real server"))?;
        let mut servers = vec![*own];
        for other in others.split(", ").filter(|other| !other.is_empty()) {
            match backend.servers.iter().find(|server| **server == other) {
                Some(server) => servers.push(server),
                None => bail!("{name} has no server `{other}`; it has {}", backend.servers.join(", ")),
            }
        }
        Ok(Some(Self { backend, servers }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Option<Vec<&'static str>> {
        Reason::read(text).unwrap().map(|reason| reason.servers)
    }

    #[test]
    fn a_backend_alone_means_its_own_server() {
        let reason = Reason::read("needs a real server: cargo xtask test-integration k8s").unwrap().unwrap();
        assert_eq!(reason.backend.name, "k8s");
        assert_eq!(reason.servers, ["kube-apiserver"]);
    }

    #[test]
    fn further_servers_are_named() {
        let text = "needs a real server: cargo xtask test-integration vault (with vault-tls)";
        assert_eq!(servers(text), Some(vec!["vault", "vault-tls"]));
    }

    #[test]
    fn other_reasons_are_others() {
        for text in ["", "not offered", "needs a network"] {
            assert_eq!(servers(text), None, "{text}");
        }
    }

    #[test]
    fn what_nearly_says_so_is_an_error() {
        for text in [
            "needs a real server",
            "needs a real server: vault",
            "needs a real server: cargo xtask test-integration",
            "needs a real server: cargo xtask test-integration valt",
            "needs a real server: cargo xtask test-integration local",
            "needs a real server: cargo xtask test-integration vault (with moto)",
            "needs a real server: cargo xtask test-integration vault (with vault-tls",
            "needs a real server: cargo xtask test-integration vault vault-tls",
        ] {
            assert!(Reason::read(text).is_err(), "{text}");
        }
    }
}
