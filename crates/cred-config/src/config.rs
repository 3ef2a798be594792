//! What the files say: profiles and key rings.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cred_core::{ConfigError, CreatedBy, StorageProvider};
use cred_provider_kit::{Env as _, ProcessEnv};

use crate::backend::{Backend, Driver, OWN, OpenError};
use crate::error::{Error, Place};
use crate::file::{ConfigFile, Origin};
use crate::ring::Ring;
use crate::secret;
use crate::value::Node;

/// Everything that one or more files say. Nothing that they name was looked at.
#[derive(Debug)]
pub struct Config {
    files: Vec<ConfigFile>,
}

/// A profile: one backend, and the key ring that its credentials are sealed with. It is shown as
/// "NAME of FILE".
#[derive(Debug)]
pub struct Profile<'a> {
    name: String,
    chosen_by: &'static str,
    backend: &'static Backend,
    driver: &'static Driver,
    ring: String,
    node: Node<'a>,
    /// `None`: no file has that ring.
    ring_node: Option<Node<'a>>,
}

impl Config {
    /// Of several files, an earlier one wins: with its line `profile`, and where both have a
    /// profile or a key ring of one name. A profile of the user's file is never sealed with a ring
    /// of another file.
    #[must_use]
    pub fn new(files: Vec<ConfigFile>) -> Self {
        Self { files }
    }

    /// The files, in their order.
    #[must_use]
    pub fn files(&self) -> &[ConfigFile] {
        &self.files
    }

    /// The names of all profiles, sorted, each once.
    #[must_use]
    pub fn profiles(&self) -> Vec<String> {
        let names = self.files.iter().flat_map(ConfigFile::names);
        let profiles = names.filter(|(kind, _)| *kind == "profiles").map(|(_, name)| name.to_owned());
        profiles.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The profile that the variable `CRED_PROFILE` names, or else the first line `profile` of a
    /// file, or else the only profile.
    ///
    /// # Errors
    /// If none of them chooses one, if the chosen one does not exist, or if its line `backend` is
    /// missing or names a backend that is not built in.
    pub fn chosen(&self) -> Result<Profile<'_>, Error> {
        if let Some(name) = ProcessEnv.get("CRED_PROFILE") {
            return self.profile(&name, "the variable CRED_PROFILE");
        }
        for file in &self.files {
            let Some(node) = file.root().get("profile") else { continue };
            if let Some(name) = node.text() {
                let chosen_by = match file.origin() {
                    Origin::Given => "the line `profile` of the given file",
                    Origin::Project => "the line `profile` of the project's file",
                    Origin::User => "the line `profile` of the user's file",
                };
                return self.profile_by(name, chosen_by, node.place());
            }
        }
        match self.profiles().as_slice() {
            [only] => self.profile(only, "being the only one"),
            [] => Err(Error::NoProfile { path: self.first_path() }),
            names => Err(Error::SeveralProfiles { path: self.first_path(), names: names.to_vec() }),
        }
    }

    /// The profile of a name. `chosen_by`: what asks for it, for the error.
    ///
    /// # Errors
    /// If it does not exist, or if its line `backend` is missing or names a backend that is not
    /// built in.
    pub fn profile(&self, name: &str, chosen_by: &'static str) -> Result<Profile<'_>, Error> {
        self.profile_by(name, chosen_by, Place { path: self.first_path(), line: 1 })
    }

    fn profile_by(&self, name: &str, chosen_by: &'static str, at: Place) -> Result<Profile<'_>, Error> {
        match self.table("profiles", name) {
            Some(node) => self.profile_at(name, node, chosen_by),
            None => {
                Err(Error::UnknownProfile { at, name: name.to_owned(), chosen_by, known: self.profiles() })
            }
        }
    }

    /// The names of all variables that any file reads keys and secrets from, also where that does
    /// not fit or its backend is not built in. A variable of a field that is not secret is not one
    /// of them.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<&str> {
        fn collect<'a>(
            node: &Node<'a>,
            field: &str,
            plain: &dyn Fn(&str) -> bool,
            found: &mut BTreeSet<&'a str>,
        ) {
            for (name, value) in node.entries() {
                let inner = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
                match value.text() {
                    Some(text) if name == "env" && !plain(field) => _ = found.insert(text),
                    _ => collect(&value, &inner, plain, found),
                }
            }
            node.elements().iter().for_each(|element| collect(element, field, plain, found));
        }
        let mut found = BTreeSet::new();
        for file in &self.files {
            for (_, profile) in file.root().get("profiles").map(|node| node.entries()).unwrap_or_default() {
                let named = profile.get("backend").and_then(|node| node.text()).unwrap_or_default();
                let known = Backend::find(named).filter(|backend| backend.is_built_in());
                let plain = |field: &str| known.is_some_and(|backend| !backend.secrets.contains(&field));
                collect(&profile, "", &plain, &mut found);
            }
            if let Some(rings) = file.root().get("rings") {
                collect(&rings, "", &|_| false, &mut found);
            }
        }
        found.retain(|name| secret::is_variable(name));
        found
    }

    /// All profiles that are sealed with a profile's key ring, itself among them.
    ///
    /// # Errors
    /// If any profile has no line `backend`, or one that names a backend that is not built in.
    pub fn profiles_of_ring(&self, of: &Profile<'_>) -> Result<Vec<Profile<'_>>, Error> {
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
    ) -> Result<Profile<'a>, Error> {
        let file = node.file();
        let text = |key: &str| match node.get(key) {
            Some(value) => match value.text() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(value.misfit("must be a string").of(file)),
            },
            None => Ok(None),
        };
        let built = || Backend::built_in().map(Backend::name).collect::<Vec<_>>();
        let wanted = text("backend")?.ok_or_else(|| {
            node.misfit(format!("needs the field `backend`: {}", built().join(", "))).of(file)
        })?;
        let backend = Backend::find(&wanted).ok_or_else(|| {
            let problem = format!("is not a backend; use one of {}", built().join(", "));
            node.nearest("backend").misfit(problem).of(file)
        })?;
        let driver = backend.driver.as_ref().ok_or_else(|| {
            let field = node.nearest("backend");
            let (at, field) = (field.place(), field.field().to_owned());
            Error::NotBuilt { at, field, backend: backend.name(), built: built() }
        })?;
        let ring = text("ring")?.unwrap_or_else(|| Ring::DEFAULT.to_owned());
        // A user's profile is never sealed with a ring of a project.
        let ring_node = match file.origin() {
            Origin::User => file.root().get("rings").and_then(|rings| rings.get(&ring)),
            Origin::Given | Origin::Project => self.table("rings", &ring),
        };
        Ok(Profile { name: name.to_owned(), chosen_by, backend, driver, ring, node, ring_node })
    }

    /// The table of a name in the files.
    fn table(&self, kind: &str, name: &str) -> Option<Node<'_>> {
        self.files.iter().find_map(|file| file.root().get(kind)?.get(name))
    }

    fn first_path(&self) -> PathBuf {
        self.files.first().map(|file| file.path().to_owned()).unwrap_or_default()
    }
}

impl Profile<'_> {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What chose it, for people: "the variable CRED_PROFILE".
    #[must_use]
    pub fn chosen_by(&self) -> &'static str {
        self.chosen_by
    }

    /// The backend, which is built in.
    #[must_use]
    pub fn backend(&self) -> &'static Backend {
        self.backend
    }

    /// The name of its key ring, which may not exist.
    #[must_use]
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// The name that is recorded with credentials that are first stored; `None`: the file has no
    /// line `created_by`.
    ///
    /// # Errors
    /// If it is not 1 to 256 bytes of printable ASCII, or its variable is not set.
    pub fn created_by(&self) -> Result<Option<CreatedBy>, Error> {
        let name = self.node.get("created_by").map(|node| node.read_text()).transpose();
        name.map_err(|misfit| misfit.of(self.file()))
    }

    /// The file that it is in.
    #[must_use]
    pub fn file(&self) -> &ConfigFile {
        self.node.file()
    }

    /// Its key ring: that of its own file, or else of another.
    ///
    /// # Errors
    /// If the ring does not exist, or has a field that does not fit.
    pub fn keys(&self) -> Result<Ring, Error> {
        let node = self.ring_node.as_ref().ok_or_else(|| Error::NoRing {
            at: self.node.nearest("ring").place(),
            profile: self.name.clone(),
            ring: self.ring.clone(),
        })?;
        Ring::read(&self.ring, node).map_err(|misfit| misfit.of(node.file()))
    }

    /// The file that its ring is in; `None`: the ring does not exist.
    #[must_use]
    pub fn file_of_ring(&self) -> Option<&ConfigFile> {
        self.ring_node.as_ref().map(Node::file)
    }

    /// Whether both are sealed with one ring.
    #[must_use]
    pub fn has_ring_of(&self, other: &Profile<'_>) -> bool {
        let path = |profile: &Profile<'_>| profile.file_of_ring().map(|file| file.path().to_owned());
        self.ring == other.ring && path(self) == path(other)
    }

    /// The names of the backend's fields that the file sets.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        self.node.entries().into_iter().map(|(name, _)| name).filter(|name| !OWN.contains(name)).collect()
    }

    /// Reads the backend's configuration and makes its provider, which has not connected yet.
    /// Blocks: it reads files with secrets.
    ///
    /// # Errors
    /// If a field does not fit, a secret cannot be read, or the backend refuses its configuration.
    pub fn open(&self) -> Result<Arc<dyn StorageProvider>, Error> {
        (self.driver.open)(&self.with_special()).map_err(|error| match error {
            OpenError::Misfit(misfit) => misfit.of(self.file()),
            OpenError::Config(error) => self.invalid(&error),
        })
    }

    /// Whether both keep credentials in one place, as far as their configurations tell. Blocks: it
    /// reads files with secrets.
    ///
    /// # Errors
    /// If a field does not fit, or a secret cannot be read.
    pub fn is_store_of(&self, other: &Profile<'_>) -> Result<bool, Error> {
        let place = |profile: &Profile<'_>| {
            (profile.driver.place)(&profile.with_special()).map_err(|misfit| misfit.of(profile.file()))
        };
        Ok(self.backend.name() == other.backend.name() && place(self)? == place(other)?)
    }

    /// With what is special about the backend's fields.
    fn with_special(&self) -> Node<'_> {
        self.node.clone().with_special(self.backend.secrets, self.backend.paths)
    }

    fn invalid(&self, error: &ConfigError) -> Error {
        let (field, problem) = match error {
            ConfigError::Invalid { field, problem, .. } => (field.to_string(), problem.to_string()),
            error => (error.field().to_owned(), error.to_string()),
        };
        // A retry policy names the field in it alone.
        let policy = self.node.get("retry_policy").filter(|_| self.node.get(&field).is_none());
        let at = policy.and_then(|policy| policy.get(&field)).unwrap_or_else(|| self.node.nearest(&field));
        Error::Settings { at: at.place(), profile: self.name.clone(), field, problem }
    }
}

impl fmt::Display for Profile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.file().path().display())
    }
}
