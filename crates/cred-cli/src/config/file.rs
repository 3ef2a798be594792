//! Lookup of the `cred.toml` files of the project and of the user.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cred_config::model::{self, ConfigFile, Origin};
use cred_provider_kit::{Env as _, ProcessEnv};

use crate::failure::Failure;

/// The file name.
pub(crate) const NAME: &str = "cred.toml";

/// The configuration files in use, in the order of precedence.
pub(crate) fn find(given: Option<&Path>) -> Result<Vec<ConfigFile>, Failure> {
    let given = given.map(Path::to_owned).or_else(|| ProcessEnv.get("CRED_CONFIG").map(PathBuf::from));
    if let Some(path) = given {
        return Ok(vec![ConfigFile::read(path, Origin::Given, None)?]);
    }
    let user = existing_user_file()?;
    let project = match project_file()? {
        Some(path) => Some(ConfigFile::read(path, Origin::Project, user.as_ref())?),
        None => None,
    };
    Ok(project.into_iter().chain(user).collect())
}

/// The user's file, if it exists.
pub(crate) fn existing_user_file() -> Result<Option<ConfigFile>, Failure> {
    match user_file() {
        Some(path) if exists(&path) => Ok(Some(ConfigFile::read(path, Origin::User, None)?)),
        _ => Ok(None),
    }
}

/// Reads a project file, before its trust is checked.
pub(crate) fn of_project(path: PathBuf) -> Result<ConfigFile, Failure> {
    Ok(ConfigFile::read(path, Origin::Project, existing_user_file()?.as_ref())?)
}

/// The project file: in the current folder, or in the nearest folder above it. Skips folders that
/// all users share, such as `/tmp`, and above the home folder also files of other users.
pub(crate) fn project_file() -> Result<Option<PathBuf>, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::config("could not determine the current folder").caused_by(error))?;
    let home = ProcessEnv.get("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    let is_above_home =
        |folder: &Path| home.as_ref().is_some_and(|home| home != folder && home.starts_with(folder));
    let user = user_file().and_then(|path| path.canonicalize().ok());
    let counts = |path: &PathBuf| {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::symlink_metadata(path).is_ok()
            && !model::is_shared(folder)
            && !(is_above_home(folder) && model::is_of_another_user(path))
    };
    let nearest = here.ancestors().map(|folder| folder.join(NAME)).find(counts);
    // The user's file is never a project file, even if its folder was entered through a link.
    Ok(nearest.filter(|path| user.is_none() || path.canonicalize().ok() != user))
}

/// Whether a file, or a broken link, has this name. A file that cannot be inspected counts as
/// existing: otherwise another file would be used instead.
pub(crate) fn exists(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Rejects a folder in which a new configuration file could not be used.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let problem = match model::is_shared(folder) {
        true => Err("is in a folder that all users share, which is never searched".to_owned()),
        false => model::check_folder(folder).map_err(|refusal| refusal.to_string()),
    };
    problem.map_err(|problem| {
        Failure::config(format!("a cred.toml in `{}` could not be used: it {problem}", folder.display()))
            .hint("fix the owner and the permissions of the folder, or use another one")
    })
}

/// The folder of the user's configuration; `None` if neither `XDG_CONFIG_HOME` nor `HOME` is set.
pub(crate) fn user_folder() -> Option<PathBuf> {
    let absolute = |name: &str| ProcessEnv.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("cred"))
}

/// The path of the user's file, which may not exist.
pub(crate) fn user_file() -> Option<PathBuf> {
    user_folder().map(|folder| folder.join(NAME))
}
