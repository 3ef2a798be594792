//! The files of the project and of the user, and which of them may be used.

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

/// Reads the files. Whether a project's file may be used, [`require_trust`] decides: nothing that
/// the files name is looked at before.
pub(crate) fn find(given: Option<&Path>) -> Result<Config, Failure> {
    let config = Config::new(file::find(given)?);
    refuse_redefinitions(&config)?;
    Ok(config)
}

/// Fails where a project's file is not trusted, and says what it would do.
pub(crate) fn require_trust(config: &Config) -> Result<(), Failure> {
    for file in config.files() {
        if !trust::is_trusted(file)? {
            let why = match trust::TrustRecord::read()?.has(file) {
                true => "was trusted, and has changed since then, or a file in its folder that it names has",
                false => "is not trusted",
            };
            let path = file.path().display();
            return Err(Failure::config(format!("the project's file `{path}` {why}, so it was not used"))
                .untrusted(effects::of(file))
                .hint("read it; then run `cred trust`, or use another file with --config"));
        }
    }
    Ok(())
}

/// A project that took the place of a user's profile or ring would get what is meant for the
/// user's.
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
        .hint("a project cannot redefine what is yours: rename one of them")),
    }
}

/// A built-in backend of this name. The error is the end of a sentence that begins with the name.
pub(crate) fn backend(name: &str) -> Result<&'static Backend, String> {
    let built = || Backend::built_in().map(Backend::name).collect::<Vec<_>>();
    match Backend::find(name) {
        Some(backend) if backend.is_built_in() => Ok(backend),
        Some(backend) => Err(not_built(backend.name(), &built())),
        None => Err(format!("is not a backend; use one of {}", built().join(", "))),
    }
}

fn not_built(name: &str, built: &[&str]) -> String {
    format!(
        "is a backend that this program was built without; build it with `--features {name}`, or use one of {}",
        built.join(", ")
    )
}

/// With what to do in terms of this program: its commands, options and features.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Read { path, source } => {
                let shown = path.display();
                if source.kind() == ErrorKind::NotFound && file::exists(&path) {
                    return Self::config(format!(
                        "the configuration file `{shown}` is a link to a file that does not exist"
                    ))
                    .hint("mount or create what it names, or remove the link");
                }
                Self::config(format!("the configuration file `{shown}` cannot be read"))
                    .hint("`cred init` makes one; `--config` and CRED_CONFIG name one")
                    .caused_by(source)
            }
            Error::Syntax { at } => Self::config(format!(
                "the configuration file `{}` is not valid TOML in line {}",
                at.path.display(),
                at.line
            ))
            .hint("strings need quotes, and each name stands once"),
            Error::NotBuilt { at, field, backend, built } => {
                Self::config(format!("{at}: `{field}` {}", not_built(backend, &built)))
            }
            Error::NoProfile { .. } => {
                Self::config("there is no profile, so nothing says where credentials are kept")
                    .hint("run `cred init`")
            }
            Error::SeveralProfiles { names, .. } => {
                Self::config(format!("there are several profiles: {}", names.join(", ")))
                    .hint("choose with --profile, CRED_PROFILE, or a line `profile = \"NAME\"` in cred.toml")
            }
            Error::UnknownProfile { name, chosen_by, known, .. } => {
                let hint = match known.is_empty() {
                    true => "run `cred init`".to_owned(),
                    false => format!("there are {}", known.join(", ")),
                };
                Self::config(format!("there is no profile `{name}`, which {chosen_by} asks for")).hint(hint)
            }
            Error::NoRing { ring, .. } => {
                Self::config(format!("there is no key ring `{ring}` in cred.toml"))
                    .hint("`cred key add ID` makes it with a first key; a profile names another with `ring`")
            }
            Error::WrongPassphrase { ring, key, .. } => Self::new(
                Exit::Keys,
                format!("the passphrase is not the one that key `{key}` of ring `{ring}` was added with"),
            )
            .hint("give that one again; a new passphrase is a key of its own, with an id of its own: `cred key add`"),
            Error::Key { .. } => Self::new(Exit::Keys, error.to_string()),
            Error::Ring { source, .. } => source.into(),
            Error::Check { source } => match source.downcast::<SealError>() {
                Ok(seal) => (*seal).into(),
                Err(source) => Self::new(Exit::Failed, "the passphrase could not be checked").caused_by(source),
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
