//! What the files say: profiles and key rings.

pub(crate) mod edit;
pub(crate) mod file;
pub(crate) mod ring;
mod secret;
pub(crate) mod value;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use cred_core::{ConfigError, StorageProvider};
use cred_provider_kit::{Env as _, ProcessEnv};

use self::file::{ConfigFile, Origin};
use self::ring::Ring;
use self::value::{Misfit, Node};
use crate::backend::{self, OpenError};
use crate::failure::Failure;

/// All that the files say.
pub(crate) struct Config {
    files: Vec<ConfigFile>,
    /// `--profile`.
    asked: Option<String>,
}

/// A profile: one backend, and the ring that its credentials are sealed with.
pub(crate) struct Profile<'a> {
    pub(crate) name: String,
    /// What chose it.
    pub(crate) chosen_by: &'static str,
    pub(crate) backend: &'static backend::Backend,
    pub(crate) ring: String,
    node: Node<'a>,
    /// `None`: no file has that ring.
    ring_node: Option<Node<'a>>,
}

impl Config {
    pub(crate) fn find(given: Option<&Path>, asked: Option<String>) -> Result<Self, Failure> {
        let files = file::find(given)?;
        for file in &files {
            for (name, node) in file.root().entries() {
                let is_known = match name {
                    "profile" => node.text().is_some(),
                    "profiles" | "rings" => node.is_table(),
                    _ => false,
                };
                if !is_known {
                    let problem = "is not known here; a file has the line `profile` and the tables `profiles` and `rings`";
                    return Err(refused(file, &node.misfit(problem)));
                }
            }
        }
        Ok(Self { files, asked })
    }

    pub(crate) fn files(&self) -> &[ConfigFile] {
        &self.files
    }

    /// The names of all profiles, each once.
    pub(crate) fn profiles(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for file in &self.files {
            let node = file.root().get("profiles");
            let entries = node.map(|node| node.entries()).unwrap_or_default();
            names.extend(entries.into_iter().map(|(name, _)| name.to_owned()));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The profile that a command without a choice of its own is about.
    pub(crate) fn chosen(&self) -> Result<Profile<'_>, Failure> {
        if let Some(name) = &self.asked {
            return self.profile(name, "--profile");
        }
        if let Some(name) = ProcessEnv.get("CRED_PROFILE") {
            return self.profile(&name, "the variable CRED_PROFILE");
        }
        for file in &self.files {
            if let Some(name) = file.root().get("profile").and_then(|node| node.text()) {
                let chosen_by = match file.origin {
                    Origin::Given => "the line `profile` of the given file",
                    Origin::Project => "the line `profile` of the project's file",
                    Origin::User => "the line `profile` of the user's file",
                };
                return self.profile(name, chosen_by);
            }
        }
        match self.profiles().as_slice() {
            [only] => self.profile(only, "being the only one"),
            [] => Err(Failure::config("there is no profile, so nothing says where credentials are kept")
                .hint("run `cred init`")),
            many => Err(Failure::config(format!("there are several profiles: {}", many.join(", ")))
                .hint("choose with --profile, CRED_PROFILE, or a line `profile = \"NAME\"` in cred.toml")),
        }
    }

    /// The profile of a name.
    pub(crate) fn profile(&self, name: &str, chosen_by: &'static str) -> Result<Profile<'_>, Failure> {
        let node = self.table("profiles", name).ok_or_else(|| {
            let known = self.profiles();
            let hint = match known.is_empty() {
                true => "run `cred init`".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Failure::config(format!("there is no profile `{name}`, which {chosen_by} asks for")).hint(hint)
        })?;
        self.profile_at(name, node, chosen_by)
    }

    /// The names of all variables that any file reads keys and secrets from, by `{ env = "NAME" }` wherever that stands: also where
    /// another file hides it, it does not fit, or its backend is not built in.
    pub(crate) fn variables(&self) -> BTreeSet<&str> {
        let named = self.files.iter().flat_map(|file| file.root().texts("env"));
        named.filter(|name| secret::is_variable(name)).collect()
    }

    /// All profiles that are sealed with a profile's ring, those that another file hides included.
    pub(crate) fn profiles_of_ring(&self, of: &Profile<'_>) -> Result<Vec<Profile<'_>>, Failure> {
        let mut profiles = Vec::new();
        for file in &self.files {
            let node = file.root().get("profiles");
            for (name, node) in node.map(|node| node.entries()).unwrap_or_default() {
                let profile = self.profile_at(name, node, "its name")?;
                if profile.has_ring_of(of) {
                    profiles.push(profile);
                }
            }
        }
        Ok(profiles)
    }

    fn profile_at<'a>(
        &'a self,
        name: &str,
        node: Node<'a>,
        chosen_by: &'static str,
    ) -> Result<Profile<'a>, Failure> {
        let text = |key: &str| match node.get(key) {
            Some(value) => match value.text() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(refused(value.file(), &value.misfit("must be a string"))),
            },
            None => Ok(None),
        };
        let wanted = text("backend")?.ok_or_else(|| {
            let problem = format!("needs the field `backend`: {}", backend::names().join(", "));
            refused(node.file(), &node.misfit(problem))
        })?;
        let backend = backend::find(&wanted)
            .map_err(|problem| refused(node.file(), &node.nearest("backend").misfit(problem)))?;
        let ring = text("ring")?.unwrap_or_else(|| ring::DEFAULT.to_owned());
        // A project's ring of the same name is none of a profile of the user's.
        let own = node.file().root().get("rings").and_then(|rings| rings.get(&ring));
        let ring_node = own.or_else(|| self.table("rings", &ring));
        Ok(Profile { name: name.to_owned(), chosen_by, backend, ring, node, ring_node })
    }

    /// The first table of a name in the files.
    fn table(&self, kind: &str, name: &str) -> Option<Node<'_>> {
        self.files.iter().find_map(|file| file.root().get(kind)?.get(name))
    }
}

impl Profile<'_> {
    pub(crate) fn file(&self) -> &ConfigFile {
        self.node.file()
    }

    /// Its key ring: that of its own file, or else of another.
    pub(crate) fn keys(&self) -> Result<Ring, Failure> {
        let node = self.ring_node.as_ref().ok_or_else(|| {
            Failure::config(format!("there is no key ring `{}` in cred.toml", self.ring))
                .hint("`cred key add ID` makes it with a first key; a profile names another with `ring`")
        })?;
        Ring::read(&self.ring, node).map_err(|misfit| refused(node.file(), &misfit))
    }

    /// The file that its ring is in; `None`: there is none yet.
    pub(crate) fn file_of_ring(&self) -> Option<&ConfigFile> {
        self.ring_node.as_ref().map(Node::file)
    }

    /// Whether both are sealed with one ring.
    pub(crate) fn has_ring_of(&self, other: &Profile<'_>) -> bool {
        let path = |profile: &Profile<'_>| profile.file_of_ring().map(|file| file.path.clone());
        self.ring == other.ring && path(self) == path(other)
    }

    /// The names of the fields that the file sets, for people.
    pub(crate) fn fields(&self) -> Vec<&str> {
        self.node.entries().into_iter().map(|(name, _)| name).filter(|name| !OWN.contains(name)).collect()
    }

    /// Reads the backend's configuration and makes its provider. Reads the files of secrets: it blocks.
    pub(crate) fn open(&self) -> Result<Arc<dyn StorageProvider>, Failure> {
        let node = self.node.clone().with_secrets(self.backend.secrets);
        (self.backend.open)(&Fields(&node)).map_err(|error| match error {
            OpenError::Misfit(misfit) => refused(self.file(), &misfit),
            OpenError::Config(error) => self.invalid(&error),
        })
    }

    /// Whether both keep credentials in one place.
    pub(crate) fn is_store_of(&self, other: &Profile<'_>) -> Result<bool, Failure> {
        let place = |profile: &Profile<'_>| {
            let node = profile.node.clone().with_secrets(profile.backend.secrets);
            (profile.backend.place)(&Fields(&node)).map_err(|misfit| refused(profile.file(), &misfit))
        };
        Ok(self.backend.name == other.backend.name && place(self)? == place(other)?)
    }

    fn invalid(&self, error: &ConfigError) -> Failure {
        let ConfigError::Invalid { field, problem, .. } = error else {
            return Failure::config(error.to_string());
        };
        let misfit = self.node.nearest(field).misfit("");
        let place = place(self.file(), misfit.line());
        Failure::config(format!("{place}: `{field}` of profile `{}` {problem}", self.name))
    }
}

/// The fields of a profile that are not the backend's.
const OWN: [&str; 2] = ["backend", "ring"];

/// A profile as its backend reads it.
pub(crate) struct Fields<'f, 'a>(&'f Node<'a>);

impl Fields<'_, '_> {
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Misfit> {
        self.0.read(&OWN)
    }
}

fn refused(file: &ConfigFile, misfit: &Misfit) -> Failure {
    Failure::config(format!("{}: {misfit}", place(file, misfit.line())))
}

fn place(file: &ConfigFile, line: usize) -> String {
    format!("{}:{line}", file.path.display())
}
