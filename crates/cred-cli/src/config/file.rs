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
    let user = user_file();
    let counts = |path: &PathBuf| {
        let folder = path.parent().unwrap_or(Path::new("/"));
        exists(path)
            && !opened::is_shared(folder)
            && !(is_above_home(folder) && opened::is_of_another_user(path))
    };
    let nearest = here.ancestors().map(|folder| folder.join(NAME)).find(counts);
    Ok(nearest.filter(|path| user.as_ref() != Some(path)))
}

/// Whether something has this name, be it a broken link.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
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
        let refused =
            |why: &str| Failure::config(format!("the configuration file `{}` {why}", path.display()));
        let content =
            opened::settings(&path, origin, &exceptions, MAX_LEN).map_err(|refusal| {
                match refusal.source {
                    Some(error) if error.kind() == ErrorKind::NotFound && exists(&path) => {
                        refused("is a link to a file that does not exist")
                            .hint("mount or create what it names, or remove the link")
                    }
                    Some(error) => refused("cannot be read")
                        .hint("`cred init` makes one; `--config` and CRED_CONFIG name one")
                        .caused_by(error),
                    None => refused(&refusal.problem),
                }
            })?;
        let content = content.ok_or_else(|| refused("is longer than 1 MiB"))?;
        let text = std::str::from_utf8(&content).map_err(|_| refused("is not UTF-8 text"))?;
        // The parser's own message quotes the line.
        let document = Document::parse(text.trim_start_matches(BOM).to_owned()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = line(text, offset);
            refused(&format!("is not valid TOML in line {line}"))
                .hint("strings need quotes, and each name stands once")
        })?;
        let mut file = Self { path, origin, exceptions, text: text.to_owned(), document };
        super::check(&file).map_err(|misfit| super::refused(&file, &misfit))?;
        if let Some(exceptions) = file.own_exceptions().map_err(|misfit| super::refused(&file, &misfit))? {
            file.exceptions = exceptions;
        }
        Ok(file)
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

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}
