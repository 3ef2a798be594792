//! The files named `cred.toml` of the project and of the user: where they are.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cred_config::model::{self, ConfigFile, Origin};
use cred_provider_kit::{Env as _, ProcessEnv};

use crate::failure::Failure;

/// The name that is looked for.
pub(crate) const NAME: &str = "cred.toml";

/// The files that count, the first of them first.
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

/// The user's file; `None`: there is none.
pub(crate) fn existing_user_file() -> Result<Option<ConfigFile>, Failure> {
    match user_file() {
        Some(path) if exists(&path) => Ok(Some(ConfigFile::read(path, Origin::User, None)?)),
        _ => Ok(None),
    }
}

/// A file of a project, before it is known whether it is trusted.
pub(crate) fn of_project(path: PathBuf) -> Result<ConfigFile, Failure> {
    Ok(ConfigFile::read(path, Origin::Project, existing_user_file()?.as_ref())?)
}

/// The project's file: of this folder, or the nearest one above. A folder that all users share,
/// such as `/tmp`, is passed over, and above the home folder every file of another user.
pub(crate) fn project_file() -> Result<Option<PathBuf>, Failure> {
    let here = std::env::current_dir()
        .map_err(|error| Failure::config("this folder cannot be read").caused_by(error))?;
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
    // The user's file is not that of a project, by whatever way its folder was entered.
    Ok(nearest.filter(|path| user.is_none() || path.canonicalize().ok() != user))
}

/// Whether something has this name, be it a broken link. What cannot be looked at counts: passing
/// it over would use another file in its place.
pub(crate) fn exists(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Refuses a folder in which a new configuration file could not be used.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let problem = match model::is_shared(folder) {
        true => Err("is in a folder that all users share, where none is searched".to_owned()),
        false => model::check_folder(folder).map_err(|refusal| refusal.to_string()),
    };
    problem.map_err(|problem| {
        Failure::config(format!("a cred.toml in `{}` could not be used: it {problem}", folder.display()))
            .hint("fix the folder, or choose another one")
    })
}

/// The folder of the user's configuration; `None`: neither `XDG_CONFIG_HOME` nor `HOME` says where.
pub(crate) fn user_folder() -> Option<PathBuf> {
    let absolute = |name: &str| ProcessEnv.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("cred"))
}

/// Where the user's file is, or would be.
pub(crate) fn user_file() -> Option<PathBuf> {
    user_folder().map(|folder| folder.join(NAME))
}
