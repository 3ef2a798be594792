//! The files named `cred.toml`: where they are, and whether they may be used.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cred_provider_kit::{Env as _, ProcessEnv};
use toml_edit::Document;

use super::opened::{self, Exceptions};
use super::value::{Misfit, Node};
use crate::failure::Failure;

/// The name that is looked for.
pub(crate) const NAME: &str = "cred.toml";

/// The byte order mark that some editors begin a file with.
pub(super) const BOM: char = '\u{feff}';

/// The longest file that is read, in bytes.
const MAX_LEN: usize = 1_024 * 1_024;
/// The longest file of a project: a person must be able to see what it would do.
const MAX_PROJECT_LEN: usize = 64 * 1_024;

/// A file that was read.
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) origin: Origin,
    /// For the files that it names.
    pub(super) exceptions: Exceptions,
    /// As it was read.
    text: String,
    document: Document<String>,
}

/// Why a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `--config` or `CRED_CONFIG`.
    Given,
    /// Of this folder, or the nearest one above.
    Project,
    /// Of the user.
    User,
}

impl Origin {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Project => "the project's",
            Self::User => "the user's",
        }
    }
}

/// The files that count, the first of them first.
pub(crate) fn find(given: Option<&Path>) -> Result<Vec<ConfigFile>, Failure> {
    let given = given.map(Path::to_owned).or_else(|| ProcessEnv.get("CRED_CONFIG").map(PathBuf::from));
    if let Some(path) = given {
        return Ok(vec![ConfigFile::read(path, Origin::Given, Exceptions::default())?]);
    }
    let user = match user_file() {
        Some(path) if exists(&path) => Some(ConfigFile::of_user(path)?),
        _ => None,
    };
    let exceptions = user.as_ref().map(|file| file.exceptions.clone()).unwrap_or_default();
    let project = match project_file()? {
        Some(path) => Some(ConfigFile::read(path, Origin::Project, exceptions)?),
        None => None,
    };
    Ok(project.into_iter().chain(user).collect())
}

/// The project's file: of this folder, or the nearest one above. A folder that all users share, such
/// as `/tmp`, is passed over, and above the home folder every file of another user.
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
            && !opened::is_shared(folder)
            && !(is_above_home(folder) && opened::is_of_another_user(path))
    };
    let nearest = here.ancestors().map(|folder| folder.join(NAME)).find(counts);
    // The user's file is not that of a project, by whatever way its folder was entered.
    Ok(nearest.filter(|path| user.is_none() || path.canonicalize().ok() != user))
}

/// Whether something has this name, be it a broken link. What cannot be looked at counts: passing it
/// over would use another file in its place.
pub(crate) fn exists(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

/// Refuses a folder in which a new configuration file could not be used.
pub(crate) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let problem = match opened::is_shared(folder) {
        true => Err("is in a folder that all users share, where none is searched".to_owned()),
        false => opened::folder(folder).map_err(|refusal| refusal.problem),
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

impl ConfigFile {
    /// The user's file.
    pub(crate) fn of_user(path: PathBuf) -> Result<Self, Failure> {
        Self::read(path, Origin::User, Exceptions::default())
    }

    /// A file of a project, before it is known whether it is trusted.
    pub(crate) fn of_project(path: PathBuf) -> Result<Self, Failure> {
        let exceptions = match user_file() {
            Some(user) if exists(&user) => Self::of_user(user)?.exceptions,
            _ => Exceptions::default(),
        };
        Self::read(path, Origin::Project, exceptions)
    }

    fn read(path: PathBuf, origin: Origin, exceptions: Exceptions) -> Result<Self, Failure> {
        let path = if origin == Origin::Project { in_its_folder(&path) } else { path };
        let refused =
            |why: &str| Failure::config(format!("the configuration file `{}` {why}", path.display()));
        let limit = if origin == Origin::Project { MAX_PROJECT_LEN } else { MAX_LEN };
        let content =
            opened::settings(&path, origin, &exceptions, limit).map_err(|refusal| match refusal.source {
                Some(error) if error.kind() == ErrorKind::NotFound && exists(&path) => {
                    refused("is a link to a file that does not exist")
                        .hint("mount or create what it names, or remove the link")
                }
                Some(error) => refused("cannot be read")
                    .hint("`cred init` makes one; `--config` and CRED_CONFIG name one")
                    .caused_by(error),
                None => refused(&refusal.problem),
            })?;
        let content = content.ok_or_else(|| refused(&format!("is longer than {limit} bytes")))?;
        let text = std::str::from_utf8(&content).map_err(|_| refused("is not UTF-8 text"))?;
        let mut file = Self::parse(path.clone(), origin, exceptions, text)?;
        super::check(&file).map_err(|misfit| super::refused(&file, &misfit))?;
        if let Some(exceptions) = file.own_exceptions().map_err(|misfit| super::refused(&file, &misfit))? {
            file.exceptions = exceptions;
        }
        Ok(file)
    }

    /// The same file with another text.
    pub(super) fn with_text(&self, text: &str) -> Result<Self, Failure> {
        Self::parse(self.path.clone(), self.origin, self.exceptions.clone(), text)
    }

    fn parse(path: PathBuf, origin: Origin, exceptions: Exceptions, text: &str) -> Result<Self, Failure> {
        // The parser's own message quotes the line.
        let document = Document::parse(text.trim_start_matches(BOM).to_owned()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = line(text, offset);
            Failure::config(format!(
                "the configuration file `{}` is not valid TOML in line {line}",
                path.display()
            ))
            .hint("strings need quotes, and each name stands once")
        })?;
        Ok(Self { path, origin, exceptions, text: text.to_owned(), document })
    }

    /// The table `files`, which a project's file may not have: it would judge itself.
    fn own_exceptions(&self) -> Result<Option<Exceptions>, Misfit> {
        let Some(node) = self.root().get("files") else { return Ok(None) };
        if self.origin == Origin::Project {
            return Err(node.misfit("counts only in the user's file, or in one that `--config` names"));
        }
        let mut exceptions = Exceptions::default();
        for (field, value) in node.entries() {
            match field {
                "owners" => exceptions.owners = value.read(&[])?,
                "shared_secrets" => exceptions.shared_secrets = value.read(&[])?,
                _ => {
                    return Err(
                        value.misfit("is not a field of `files`, which has `owners` and `shared_secrets`")
                    );
                }
            }
        }
        Ok(Some(exceptions))
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node::root(self, self.document.as_table())
    }

    /// The path that a text in this file means: `~/` is the home folder, and a relative path counts
    /// from the folder of the file.
    pub(crate) fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        if path == "~" || path.starts_with("~/") {
            let home = ProcessEnv.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
            let home = home.ok_or("begins with `~`, and the variable HOME names no folder")?;
            return Ok(home.join(path.trim_start_matches('~').trim_start_matches('/')));
        }
        let folder = std::path::absolute(&self.path).map_err(|error| format!("cannot be found ({error})"))?;
        Ok(folder.parent().unwrap_or(Path::new("/")).join(path))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Counts from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        line(self.text.trim_start_matches(BOM), offset)
    }
}

/// The path without links and detours on the way to the file.
fn in_its_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().map(Path::canonicalize), absolute.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}
