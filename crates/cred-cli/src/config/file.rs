//! The files named `cred.toml`: where they are, and whether they can be trusted.

use std::fs;
use std::path::{Path, PathBuf};

use cred_provider_kit::{Env as _, ProcessEnv};
use toml_edit::Document;

use super::value::Node;
use crate::failure::Failure;

/// The name that is looked for.
pub(crate) const NAME: &str = "cred.toml";

/// The longest file that is read, in bytes.
const MAX_LEN: u64 = 1_024 * 1_024;

/// A file that was read.
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) origin: Origin,
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
        return Ok(vec![ConfigFile::read(path, Origin::Given)?]);
    }
    let user = user_file();
    let here = std::env::current_dir()
        .map_err(|error| Failure::config("this folder cannot be read").caused_by(error))?;
    let mut files = Vec::new();
    if let Some(path) = here.ancestors().map(|folder| folder.join(NAME)).find(|path| path.is_file())
        && user.as_ref() != Some(&path)
    {
        files.push(ConfigFile::read(path, Origin::Project)?);
    }
    if let Some(path) = user.filter(|path| path.exists()) {
        files.push(ConfigFile::read(path, Origin::User)?);
    }
    Ok(files)
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
    fn read(path: PathBuf, origin: Origin) -> Result<Self, Failure> {
        let unreadable = |error: std::io::Error| {
            Failure::config(format!("the configuration file `{}` cannot be read", path.display()))
                .hint("`cred init` makes one; `--config` and CRED_CONFIG name one")
                .caused_by(error)
        };
        let found = fs::metadata(&path).map_err(unreadable)?;
        let refused =
            |why: &str| Failure::config(format!("the configuration file `{}` {why}", path.display()));
        if !found.is_file() || found.len() > MAX_LEN {
            return Err(refused("is not a regular file of at most 1 MiB"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let me = rustix::process::geteuid().as_raw();
            if found.uid() != me && found.uid() != 0 {
                return Err(refused("belongs to another user, who could send your values elsewhere")
                    .hint("name a file of your own with --config"));
            }
            if found.mode() & 0o002 != 0 {
                return Err(refused("can be written by everybody, who could send your values elsewhere")
                    .hint(format!("run `chmod o-w {}`", path.display())));
            }
        }
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        // The parser's own message quotes the line.
        let document = Document::parse(text.clone()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = line(&text, offset);
            refused(&format!("is not valid TOML in line {line}"))
                .hint("strings need quotes, and each name stands once")
        })?;
        Ok(Self { path, origin, document })
    }

    pub(crate) fn root(&self) -> Node<'_> {
        Node::root(self, self.document.as_table())
    }

    /// A path that is written in this file.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    pub(crate) fn text(&self) -> &str {
        self.document.raw()
    }

    /// Counts from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        line(self.text(), offset)
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}
