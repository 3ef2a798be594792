//! The configuration files of the project and of the user, and the check that they are trusted.

pub(crate) mod edit;
pub(crate) mod effects;
pub(crate) mod file;
pub(crate) mod ring;
pub(crate) mod trust;

use std::io::ErrorKind;
use std::path::Path;

use cred_config::Error;
use cred_config::model::{Backend, Config};
use cred_core::SealError;

use crate::failure::{Exit, Failure};

/// Reads the configuration files, but nothing that they name. [`require_trust`] decides whether the
/// file of a project may be used.
pub(crate) fn find(given: Option<&Path>) -> Result<Config, Failure> {
    let config = Config::new(file::find(given)?);
    refuse_redefinitions(&config)?;
    Ok(config)
}

/// Fails if the file of a project is not trusted. The failure lists what the file would do.
pub(crate) fn require_trust(config: &Config) -> Result<(), Failure> {
    for file in config.files() {
        if !trust::is_trusted(file)? {
            let why = match trust::TrustRecord::read()?.has(file) {
                true => "was trusted, but it or a file in its folder that it names has changed since",
                false => "is not trusted",
            };
            let path = file.path().display();
            return Err(Failure::config(format!("the project file `{path}` {why}, so it was not used"))
                .untrusted(effects::of(file))
                .hint("read it, then run `cred trust`, or use another file with --config"));
        }
    }
    Ok(())
}

/// Rejects a project file that redefines a profile or ring of the user: it would receive
/// credentials that are meant for the user's own.
fn refuse_redefinitions(config: &Config) -> Result<(), Failure> {
    let [project, user] = config.files() else { return Ok(()) };
    let of_user: Vec<_> = user.names().collect();
    match project.names().find(|name| of_user.contains(name)) {
        None => Ok(()),
        Some((kind, name)) => Err(Failure::config(format!(
            "`{}` and `{}` both have {} `{name}`",
            project.path().display(),
            user.path().display(),
            if kind == "rings" { "a ring" } else { "a profile" },
        ))
        .hint("a project cannot redefine a profile or a ring of the user's file: rename one of the two")),
    }
}

/// Finds a built-in backend. The error completes a sentence that starts with the name.
pub(crate) fn backend(name: &str) -> Result<&'static Backend, String> {
    let built = || Backend::built_in().map(Backend::name).collect::<Vec<_>>();
    match Backend::find(name) {
        Some(backend) if backend.is_built_in() => Ok(backend),
        Some(backend) => Err(not_built(backend.name(), &built())),
        None => Err(format!("is not a backend; use one of: {}", built().join(", "))),
    }
}

fn not_built(name: &str, built: &[&str]) -> String {
    format!(
        "is a backend that this build of cred does not include; build it with `--features {name}`, or use one of: {}",
        built.join(", ")
    )
}

/// Adds hints in terms of this program: its commands, options and features.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Read { path, source } => {
                let shown = path.display();
                if source.kind() == ErrorKind::NotFound && file::exists(&path) {
                    return Self::config(format!(
                        "the configuration file `{shown}` is a symbolic link to a file that does not exist"
                    ))
                    .hint("create or mount the target of the link, or remove the link");
                }
                Self::config(format!("could not read the configuration file `{shown}`"))
                    .hint("check the path in --config or CRED_CONFIG; `cred init` creates a configuration file")
                    .caused_by(source)
            }
            Error::Syntax { at } => Self::config(format!(
                "the configuration file `{}` is not valid TOML at line {}",
                at.path.display(),
                at.line
            ))
            .hint("strings need quotes, and a name must not occur twice"),
            Error::NotBuilt { at, field, backend, built } => {
                Self::config(format!("{at}: `{field}` {}", not_built(backend, &built)))
            }
            Error::NoProfile { .. } => {
                Self::config("no configuration file defines a profile")
                    .hint("run `cred init` to create one")
            }
            Error::SeveralProfiles { names, .. } => {
                Self::config(format!("there are several profiles, and none is chosen: {}", names.join(", ")))
                    .hint("choose one with --profile, CRED_PROFILE, or a line `profile = \"NAME\"` in cred.toml")
            }
            Error::UnknownProfile { name, chosen_by, known, .. } => {
                let hint = match known.is_empty() {
                    true => "run `cred init` to create one".to_owned(),
                    false => format!("the profiles are: {}", known.join(", ")),
                };
                Self::config(format!("unknown profile `{name}`, selected by {chosen_by}")).hint(hint)
            }
            Error::NoRing { ring, .. } => {
                Self::config(format!("unknown key ring `{ring}`: cred.toml does not define it"))
                    .hint("`cred key add ID` creates the ring with its first key; or set `ring` in the profile to an existing one")
            }
            Error::WrongPassphrase { ring, key, .. } => Self::new(
                Exit::Keys,
                format!("wrong passphrase for the key `{key}` of ring `{ring}`"),
            )
            .hint("enter the passphrase that the key was added with; for a new passphrase, add a new key with `cred key add`"),
            Error::Key { .. } => Self::new(Exit::Keys, error.to_string()),
            Error::Ring { source, .. } => source.into(),
            Error::Check { source } => match source.downcast::<SealError>() {
                Ok(seal) => (*seal).into(),
                Err(source) => Self::new(Exit::Failed, "could not check the passphrase").caused_by(source),
            },
            error => Self::config(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_found_unknown_or_not_built_in() {
        assert!(backend("nowhere").is_err_and(|problem| problem.starts_with("is not a backend")));
        for name in ["local", "aws", "azure", "k8s", "vault"] {
            match backend(name) {
                Ok(backend) => assert_eq!(backend.name(), name),
                Err(problem) => assert!(problem.contains(&format!("--features {name}")), "{problem}"),
            }
        }
    }
}
