//! How a test declares which real servers it needs: by the reason in its `#[ignore]`.
//!
//! `needs a real server: cargo xtask test-integration vault` needs the first server of the backend
//! `vault`; `... vault (with vault-tls)` also needs that one.

use anyhow::{Context, Result, bail};

use super::backends::{self, Backend};

/// The beginning of each reason that this module reads.
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
        let backend = backends::find(name).with_context(|| format!("unknown backend `{name}`"))?;
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

    #[test]
    fn a_reason_names_its_servers_is_about_something_else_or_is_an_error() {
        let read = |text: &str| Reason::read(text).map(|reason| reason.map(|reason| reason.servers));
        let command = |rest: &str| read(&format!("needs a real server: cargo xtask test-integration{rest}"));
        assert_eq!(command(" k8s").unwrap().unwrap(), ["kube-apiserver"]);
        assert_eq!(command(" vault (with vault-tls)").unwrap().unwrap(), ["vault", "vault-tls"]);
        for other in ["", "not offered", "needs a network"] {
            assert_eq!(read(other).unwrap(), None, "{other}");
        }
        for wrong in
            ["", " valt", " local", " vault (with moto)", " vault (with vault-tls", " vault vault-tls"]
        {
            assert!(command(wrong).is_err(), "{wrong}");
        }
        assert!(read("needs a real server").is_err() && read("needs a real server: vault").is_err());
    }
}
