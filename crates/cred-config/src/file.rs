//! A `cred.toml`, read and parsed.

use std::fmt;
use std::path::{Path, PathBuf};

use cred_provider_kit::{Env as _, ProcessEnv};
use toml_edit::Document;

use crate::error::{Error, Place};
use crate::opened::{self, Exceptions};
use crate::value::{Misfit, Node};

/// The byte order mark that some editors begin a file with.
pub const BOM: char = '\u{feff}';

/// The longest file that is read, in bytes.
const MAX_LEN: usize = 1_024 * 1_024;
/// The longest file of a project: a person must be able to see what it would do.
const MAX_PROJECT_LEN: usize = 64 * 1_024;

/// A `cred.toml` that was read. Nothing that it names was looked at.
pub struct ConfigFile {
    path: PathBuf,
    origin: Origin,
    /// For the files that it names.
    exceptions: Exceptions,
    /// As it was read.
    text: String,
    document: Document<String>,
}

/// Why a file is read, which decides how strict the rules for it are.
///
/// In each case, other users must not be able to write the file or its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller named it: up to 1 MiB, and it may be a link, a pipe or a file of another user.
    Given,
    /// It was found in a project, so that a clone may have brought it: up to 64 KiB, neither a link
    /// nor a pipe, and owned by this user or root. It cannot make exceptions to the rules for
    /// files, and takes no relative path from a variable.
    Project,
    /// It is the user's own: up to 1 MiB, not a pipe, and owned by this user or root.
    User,
}

impl Origin {
    /// For people: "given", "the project's" or "the user's".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Project => "the project's",
            Self::User => "the user's",
        }
    }
}

impl ConfigFile {
    /// Reads a file. Blocks: it may wait up to 30 s for the writer of a pipe.
    ///
    /// `user`: the user's own file, whose exceptions to the rules for files count for this one too,
    /// unless it makes its own.
    ///
    /// # Errors
    /// If the file cannot be read, breaks the rules of its [`Origin`], is not TOML, or has a table
    /// or a name that no `cred.toml` has. Tables of profiles and key rings are not checked yet.
    pub fn read(path: PathBuf, origin: Origin, user: Option<&Self>) -> Result<Self, Error> {
        let path = if origin == Origin::Project { in_its_folder(&path) } else { path };
        let exceptions = user.map(|file| file.exceptions.clone()).unwrap_or_default();
        let refused = |problem: String| Error::Refused { path: path.clone(), problem };
        let limit = if origin == Origin::Project { MAX_PROJECT_LEN } else { MAX_LEN };
        let content =
            opened::settings(&path, origin, &exceptions, limit).map_err(|refusal| match refusal.source {
                Some(source) => Error::Read { path: path.clone(), source },
                None => refused(refusal.problem),
            })?;
        let content = content.ok_or_else(|| refused(format!("is longer than {limit} bytes")))?;
        let text = std::str::from_utf8(&content).map_err(|_| refused("is not UTF-8 text".to_owned()))?;
        let mut file = Self::parse(path.clone(), origin, exceptions, text)?;
        file.check().map_err(|misfit| misfit.of(&file))?;
        if let Some(exceptions) = file.own_exceptions().map_err(|misfit| misfit.of(&file))? {
            file.exceptions = exceptions;
        }
        Ok(file)
    }

    /// The same file with another text, which is not checked beyond its syntax.
    ///
    /// # Errors
    /// If the text is not TOML.
    pub fn with_text(&self, text: &str) -> Result<Self, Error> {
        Self::parse(self.path.clone(), self.origin, self.exceptions.clone(), text)
    }

    fn parse(path: PathBuf, origin: Origin, exceptions: Exceptions, text: &str) -> Result<Self, Error> {
        // The parser's own message quotes the line.
        let document = Document::parse(text.trim_start_matches(BOM).to_owned()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            Error::Syntax {
                at: Place { path: path.clone(), line: line(text.trim_start_matches(BOM), offset) },
            }
        })?;
        Ok(Self { path, origin, exceptions, text: text.to_owned(), document })
    }

    /// Refuses a table that has no meaning, or a name that could not be shown.
    fn check(&self) -> Result<(), Misfit> {
        for (name, node) in self.root().entries() {
            let is_known = match name {
                "profile" => node.text().is_some(),
                "profiles" | "rings" | "files" => node.is_table(),
                _ => false,
            };
            if !is_known {
                return Err(node.misfit(
                    "is not known here; a file has the line `profile` and the tables `profiles`, `rings` and `files`",
                ));
            }
        }
        match self.names().find(|(_, name)| !is_name(name)) {
            None => Ok(()),
            Some((kind, _)) => {
                Err(self.root().nearest(kind).misfit("has a name that is not 1 to 64 of A-Z a-z 0-9 . _ -"))
            }
        }
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

    /// The path. That of a project's file is absolute, without links on the way to the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it was read.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The text, as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The table of the whole file.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::root(self, self.document.as_table())
    }

    /// The profiles and key rings, each as the name of its table, `profiles` or `rings`, and its
    /// own.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        ["profiles", "rings"].into_iter().flat_map(|kind| {
            let entries = self.root().get(kind).map(|node| node.entries()).unwrap_or_default();
            entries.into_iter().map(move |(name, _)| (kind, name))
        })
    }

    /// The path that a text in this file means: `~/` is the home folder, and a relative path counts
    /// from the folder of the file.
    ///
    /// # Errors
    /// If the home folder or the folder of the file is not known. The error is the end of a
    /// sentence that begins with the field.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<PathBuf, String> {
        let file = std::path::absolute(&self.path).map_err(|error| format!("cannot be found ({error})"))?;
        resolve(path.as_ref(), file.parent().unwrap_or(Path::new("/")))
    }

    pub(crate) fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    /// Counts from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        line(self.text.trim_start_matches(BOM), offset)
    }

    pub(crate) fn place(&self, line: usize) -> Place {
        Place { path: self.path.clone(), line }
    }
}

/// Without the text, in which a secret may have been written.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Whether a profile or a key ring may have this name: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// The path that is meant: `~/` is the home folder, and a relative path counts from a folder.
pub(crate) fn resolve(path: &Path, folder: &Path) -> Result<PathBuf, String> {
    match path.strip_prefix("~") {
        Ok(below_home) => {
            let home = ProcessEnv.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
            let home = home.ok_or("begins with `~`, and the variable HOME names no folder")?;
            Ok(home.join(below_home))
        }
        Err(_) => Ok(folder.join(path)),
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
