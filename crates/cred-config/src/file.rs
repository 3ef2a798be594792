//! Reads and parses a `cred.toml`.

use std::fmt;
use std::path::{Path, PathBuf};

use cred_provider_kit::{Env as _, ProcessEnv};
use toml_edit::Document;

use crate::error::{Error, Place};
use crate::opened::{self, Exceptions};
use crate::value::{Node, ValueError};

/// The byte order mark that some editors write at the start of a file.
pub const BOM: char = '\u{feff}';

/// Maximum size of a file in bytes.
const MAX_LEN: usize = 1_024 * 1_024;
/// Maximum size of the file of a project, in bytes: a person must be able to review it.
const MAX_PROJECT_LEN: usize = 64 * 1_024;

/// A `cred.toml` that was read. Files and variables that it names are not read yet.
///
/// # Examples
/// ```
/// use cred_config::model::{Config, ConfigFile, Origin};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("cred.toml");
/// # std::fs::write(&path, "[profiles.dev]\nbackend = \"vault\"\n")?;
/// let file = ConfigFile::read(path, Origin::Given, None)?;
/// let config = Config::new(vec![file]);
/// assert_eq!(config.profiles(), ["dev"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConfigFile {
    path: PathBuf,
    origin: Origin,
    /// The exceptions to the file checks, for the files that it names.
    exceptions: Exceptions,
    /// The text as it was read.
    text: String,
    document: Document<String>,
}

/// The reason why a file is read, which decides how strictly it is checked.
///
/// In every case, other users must not be able to write the file or its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller named the file. At most 1 MiB. May be a link, a pipe or a file of another user.
    Given,
    /// The file was found in a project, so it may come from a cloned repository. At most 64 KiB,
    /// neither a link nor a pipe, and owned by this user or root. It must not have a table `files`,
    /// nor take a relative path from a variable.
    Project,
    /// The user's own file. At most 1 MiB, not a pipe, and owned by this user or root.
    User,
}

impl Origin {
    /// Returns a description: "given", "the project's" or "the user's".
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
    /// `user` is the user's own file. Its table `files` also applies to this file, unless this file
    /// has one too.
    ///
    /// # Errors
    /// If the file cannot be read, breaks the rules of its [`Origin`], is not valid TOML, or has an
    /// unknown table or an invalid name. The tables of profiles and key rings are not checked yet.
    pub fn read(path: PathBuf, origin: Origin, user: Option<&Self>) -> Result<Self, Error> {
        let path = if origin == Origin::Project { canonical_folder(&path) } else { path };
        let exceptions = user.map(|file| file.exceptions.clone()).unwrap_or_default();
        let refused = |problem: String| Error::Refused { path: path.clone(), problem };
        let limit = if origin == Origin::Project { MAX_PROJECT_LEN } else { MAX_LEN };
        let content =
            opened::read_config(&path, origin, &exceptions, limit).map_err(|refusal| {
                match refusal.source {
                    Some(source) => Error::Read { path: path.clone(), source },
                    None => refused(refusal.problem),
                }
            })?;
        let content = content.ok_or_else(|| refused(format!("is longer than {limit} bytes")))?;
        let text = std::str::from_utf8(&content).map_err(|_| refused("is not UTF-8 text".to_owned()))?;
        let mut file = Self::parse(path.clone(), origin, exceptions, text)?;
        file.check().map_err(|error| error.in_file(&file))?;
        if let Some(exceptions) = file.own_exceptions().map_err(|error| error.in_file(&file))? {
            file.exceptions = exceptions;
        }
        Ok(file)
    }

    /// Returns the file with another text, of which only the TOML syntax is checked.
    ///
    /// # Errors
    /// If the text is not valid TOML.
    pub fn with_text(&self, text: &str) -> Result<Self, Error> {
        Self::parse(self.path.clone(), self.origin, self.exceptions.clone(), text)
    }

    fn parse(path: PathBuf, origin: Origin, exceptions: Exceptions, text: &str) -> Result<Self, Error> {
        // The message of the parser quotes the line, so it is not used.
        let document = Document::parse(text.trim_start_matches(BOM).to_owned()).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            Error::Syntax {
                at: Place { path: path.clone(), line: line(text.trim_start_matches(BOM), offset) },
            }
        })?;
        Ok(Self { path, origin, exceptions, text: text.to_owned(), document })
    }

    /// Rejects an unknown table, or a name that cannot be displayed.
    fn check(&self) -> Result<(), ValueError> {
        for (name, node) in self.root().entries() {
            let is_known = match name {
                "profile" => node.text().is_some(),
                "profiles" | "rings" | "files" => node.is_table(),
                _ => false,
            };
            if !is_known {
                return Err(node.invalid(
                    "is not known here; a file has the line `profile` and the tables `profiles`, `rings` and `files`",
                ));
            }
        }
        match self.names().find(|(_, name)| !is_name(name)) {
            None => Ok(()),
            Some((kind, _)) => {
                Err(self.root().nearest(kind).invalid("has a name that is not 1 to 64 of A-Z a-z 0-9 . _ -"))
            }
        }
    }

    /// The exceptions of the table `files`. A project's file must not relax its own checks.
    fn own_exceptions(&self) -> Result<Option<Exceptions>, ValueError> {
        let Some(node) = self.root().get("files") else { return Ok(None) };
        if self.origin == Origin::Project {
            return Err(node.invalid("is only allowed in the user's file, or in one that `--config` names"));
        }
        let mut exceptions = Exceptions::default();
        for (field, value) in node.entries() {
            match field {
                "owners" => exceptions.owners = value.read(&[])?,
                "shared_secrets" => exceptions.shared_secrets = value.read(&[])?,
                _ => {
                    return Err(
                        value.invalid("is not a field of `files`, which has `owners` and `shared_secrets`")
                    );
                }
            }
        }
        Ok(Some(exceptions))
    }

    /// Returns the path. The path of a project's file is absolute, with links in its folder
    /// resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the reason why the file was read.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the text as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the root table.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::root(self, self.document.as_table())
    }

    /// Returns the names of the profiles and key rings, each with the name of its table, `profiles`
    /// or `rings`.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        ["profiles", "rings"].into_iter().flat_map(|kind| {
            let entries = self.root().get(kind).map(|node| node.entries()).unwrap_or_default();
            entries.into_iter().map(move |(name, _)| (kind, name))
        })
    }

    /// Resolves a path in this file: `~/` is the home folder, and a relative path is relative to
    /// the folder of the file.
    ///
    /// # Errors
    /// If the home folder or the folder of the file is not known. The error is the end of a
    /// sentence that begins with the field.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<PathBuf, String> {
        let file =
            std::path::absolute(&self.path).map_err(|error| format!("cannot be made absolute ({error})"))?;
        resolve(path.as_ref(), file.parent().unwrap_or(Path::new("/")))
    }

    pub(crate) fn exceptions(&self) -> &Exceptions {
        &self.exceptions
    }

    /// The line number of an offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        line(self.text.trim_start_matches(BOM), offset)
    }

    pub(crate) fn place(&self, line: usize) -> Place {
        Place { path: self.path.clone(), line }
    }
}

/// Omits the text, which may contain a secret.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Whether this is a valid name for a profile or a key ring: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Resolves a path: `~/` is the home folder, and a relative path is relative to `folder`.
pub(crate) fn resolve(path: &Path, folder: &Path) -> Result<PathBuf, String> {
    match path.strip_prefix("~") {
        Ok(below_home) => {
            let home = ProcessEnv.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
            let home = home.ok_or("begins with `~`, but the variable HOME is not set to an absolute path")?;
            Ok(home.join(below_home))
        }
        Err(_) => Ok(folder.join(path)),
    }
}

/// The path with a canonical folder: absolute, and with links in the folder resolved.
fn canonical_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().map(Path::canonicalize), absolute.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}
