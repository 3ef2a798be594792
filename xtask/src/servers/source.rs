//! Where a server comes from: given, on `PATH`, in the cache, or made now.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::Environment;
use super::catalog::Server;
use super::probe::UNKNOWN;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// By these variables.
    Given(&'static [&'static str]),
    Path(PathBuf),
    Cache,
    /// Built or installed by this run.
    Made,
}

/// Variables that users of the service have set already, and what they are here.
const OF_USERS: [(&str, &str); 1] = [("CRED_TEST_AWS_ENDPOINT", "AWS_ENDPOINT_URL")];

/// Something to start.
#[derive(Debug)]
pub(super) struct Program {
    /// The program and its first words.
    pub(super) words: Vec<String>,
    pub(super) version: String,
    pub(super) source: Source,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(variables) => write!(f, "given by {}", variables.first().unwrap_or(&"a variable")),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Cache => f.write_str("cache"),
            Self::Made => f.write_str("made now"),
        }
    }
}

/// The variables of a server that somebody gives; all of them or none.
pub(super) fn given(
    server: &Server,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Environment>> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let of_users = |name: &str| set(OF_USERS.iter().find(|(ours, _)| *ours == name)?.1);
    let value = |name: &&str| set(name).or_else(|| of_users(name));
    let (set, unset): (Vec<&str>, Vec<&str>) =
        server.variables.iter().partition(|name| value(name).is_some());
    if set.is_empty() {
        return Ok(None);
    }
    if !unset.is_empty() {
        bail!("{} is set, but not {}; set all of them or none", set.join(", "), unset.join(", "));
    }
    let pair = |name: &&str| Some(((*name).to_owned(), value(name)?));
    Ok(Some(server.variables.iter().filter_map(pair).collect()))
}

/// A program on `PATH`, else one in the cache, which is filled where it has none.
pub(super) fn program(server: &Server) -> Result<Program> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(program) = on_path(server, &path) {
        return Ok(program);
    }
    let (words, made) = server.recipe.program()?;
    let source = if made { Source::Made } else { Source::Cache };
    Ok(Program { words, version: server.recipe.version()?, source })
}

/// The first of a server's programs on the path that runs. A version manager may put a script there that only
/// says that nothing is installed.
fn on_path(server: &Server, path: &OsStr) -> Option<Program> {
    for name in server.programs {
        for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
            let file = folder.join(name);
            if !file.is_file() {
                continue;
            }
            let output = Command::new(&file).args(server.version).stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => {
                    let version = match server.version {
                        ["--help"] => None,
                        _ => version(&String::from_utf8_lossy(&output.stdout)),
                    };
                    let version = version.unwrap_or_else(|| UNKNOWN.to_owned());
                    return Some(Program {
                        words: vec![file.to_string_lossy().into_owned()],
                        version: if *name == "bao" { format!("OpenBao {version}") } else { version },
                        source: Source::Path(file),
                    });
                }
                Ok(_) | Err(_) => eprintln!("{} does not run; looking further", file.display()),
            }
        }
    }
    None
}

/// The first word that looks like `1.21.0` or `v1.21.0`.
fn version(output: &str) -> Option<String> {
    let words =
        output.split_whitespace().map(|word| word.trim_start_matches('v').trim_end_matches([',', ';']));
    let mut versions =
        words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    versions.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::catalog::find;
    use super::*;

    fn given_with(name: &str, variables: &[(&str, &str)]) -> Result<Option<Environment>> {
        let value = |name: &str| Some(variables.iter().find(|(key, _)| *key == name)?.1.to_owned());
        given(find(name).unwrap(), value)
    }

    fn script(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_server_is_given_by_all_of_its_variables() {
        assert!(given_with("vault", &[]).unwrap().is_none());
        assert!(given_with("vault", &[("CRED_TEST_VAULT_ADDR", "")]).unwrap().is_none());
        let all = [("CRED_TEST_VAULT_ADDR", "http://a"), ("CRED_TEST_VAULT_TOKEN", "t")];
        assert_eq!(given_with("vault", &all).unwrap().unwrap().len(), 2);
    }

    #[test]
    fn a_server_is_given_by_a_variable_of_its_users_too_and_by_ours_first() {
        let users = ("AWS_ENDPOINT_URL", "http://theirs");
        let given = given_with("moto", &[users]).unwrap().unwrap();
        assert_eq!(given, [("CRED_TEST_AWS_ENDPOINT".to_owned(), "http://theirs".to_owned())]);
        let both = given_with("moto", &[users, ("CRED_TEST_AWS_ENDPOINT", "http://ours")]).unwrap().unwrap();
        assert_eq!(both[0].1, "http://ours");
    }

    #[test]
    fn a_server_that_is_given_by_half_is_an_error() {
        for (name, variable) in all_variables() {
            if find(name).unwrap().variables.len() > 1 {
                let error = given_with(name, &[(variable, "x")]).unwrap_err().to_string();
                assert!(error.starts_with(variable), "{error}");
            }
        }
    }

    fn all_variables() -> Vec<(&'static str, &'static str)> {
        let servers = super::super::names().into_iter().filter_map(find);
        servers.flat_map(|server| server.variables.iter().map(|variable| (server.name, *variable))).collect()
    }

    #[test]
    fn a_program_on_the_path_is_used_if_it_runs() {
        let [broken, bao] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        script(broken.path(), "vault", "exit 127");
        script(bao.path(), "bao", "echo OpenBao v2.1.0, built yesterday");
        let path = std::env::join_paths([broken.path(), bao.path()]).unwrap();
        let program = on_path(find("vault").unwrap(), &path).unwrap();
        assert_eq!(program.version, "OpenBao 2.1.0");
        assert_eq!(program.source, Source::Path(bao.path().join("bao")));
        assert!(on_path(find("vault").unwrap(), broken.path().as_os_str()).is_none());
    }

    #[test]
    fn reads_versions_as_they_are_printed() {
        assert_eq!(version("Vault v1.21.0 (abc), built 2026-01-01").as_deref(), Some("1.21.0"));
        assert_eq!(version("etcd Version: 3.6.8\nGit SHA: 1.2").as_deref(), Some("3.6.8"));
        assert_eq!(version("usage: moto_server [-h]"), None);
    }
}
