//! The profiles and key rings of the files.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cred_core::{ConfigError, CreatedBy, StorageProvider};
use cred_provider_kit::{Env as _, ProcessEnv};

use crate::backend::{Backend, Driver, OpenError, PROFILE_FIELDS};
use crate::error::{Error, Place};
use crate::file::{ConfigFile, Origin};
use crate::ring::Ring;
use crate::secret;
use crate::value::Node;

/// The contents of one or more configuration files. Files and variables that they name are not read
/// yet.
#[derive(Debug)]
pub struct Config {
    files: Vec<ConfigFile>,
}

/// A profile: a backend, and the key ring that seals its credentials. It is displayed as
/// "NAME of FILE".
#[derive(Debug)]
pub struct Profile<'a> {
    name: String,
    chosen_by: &'static str,
    backend: &'static Backend,
    driver: &'static Driver,
    ring: String,
    node: Node<'a>,
    /// `None` if no file has this ring.
    ring_node: Option<Node<'a>>,
}

impl Config {
    /// Combines files. An earlier file has precedence: for the line `profile`, and for a profile or
    /// a key ring that both define. A profile of the user's file never uses a ring of another file.
    #[must_use]
    pub fn new(files: Vec<ConfigFile>) -> Self {
        Self { files }
    }

    /// Returns the files in order.
    #[must_use]
    pub fn files(&self) -> &[ConfigFile] {
        &self.files
    }

    /// Returns the names of all profiles, sorted and without duplicates.
    #[must_use]
    pub fn profiles(&self) -> Vec<String> {
        let names = self.files.iter().flat_map(ConfigFile::names);
        let profiles = names.filter(|(kind, _)| *kind == "profiles").map(|(_, name)| name.to_owned());
        profiles.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the profile that the variable `CRED_PROFILE` names, else that of the first line
    /// `profile` of a file, else the only profile.
    ///
    /// # Errors
    /// If none of these selects a profile, if the selected profile does not exist, or if its field
    /// `backend` is missing or names a backend that is not built in.
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

    /// Returns a profile by name. `chosen_by` describes the source of the name for the error.
    ///
    /// # Errors
    /// If the profile does not exist, or if its field `backend` is missing or names a backend that
    /// is not built in.
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

    /// Returns the names of all variables from which any file reads keys and secrets, including
    /// those of invalid fields and of backends that are not built in. Variables of fields that are
    /// not secret are not included.
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
        found.retain(|name| secret::is_variable_name(name));
        found
    }

    /// Returns all profiles that use the key ring of a profile, including that profile.
    ///
    /// # Errors
    /// If the field `backend` of any profile is missing or names a backend that is not built in.
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
                None => Err(value.invalid("must be a string").in_file(file)),
            },
            None => Ok(None),
        };
        let built = || Backend::built_in().map(Backend::name).collect::<Vec<_>>();
        let wanted = text("backend")?.ok_or_else(|| {
            node.invalid(format!("needs the field `backend`: {}", built().join(", "))).in_file(file)
        })?;
        let backend = Backend::find(&wanted).ok_or_else(|| {
            let problem = format!("is not a backend; use one of {}", built().join(", "));
            node.nearest("backend").invalid(problem).in_file(file)
        })?;
        let driver = backend.driver.as_ref().ok_or_else(|| {
            let field = node.nearest("backend");
            let (at, field) = (field.place(), field.field().to_owned());
            Error::NotBuilt { at, field, backend: backend.name(), built: built() }
        })?;
        let ring = text("ring")?.unwrap_or_else(|| Ring::DEFAULT.to_owned());
        // A profile of the user's file never uses a ring of a project.
        let ring_node = match file.origin() {
            Origin::User => file.root().get("rings").and_then(|rings| rings.get(&ring)),
            Origin::Given | Origin::Project => self.table("rings", &ring),
        };
        Ok(Profile { name: name.to_owned(), chosen_by, backend, driver, ring, node, ring_node })
    }

    /// The first table of this name in the files.
    fn table(&self, kind: &str, name: &str) -> Option<Node<'_>> {
        self.files.iter().find_map(|file| file.root().get(kind)?.get(name))
    }

    fn first_path(&self) -> PathBuf {
        self.files.first().map(|file| file.path().to_owned()).unwrap_or_default()
    }
}

impl Profile<'_> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Describes how the profile was selected, such as "the variable CRED_PROFILE".
    #[must_use]
    pub fn chosen_by(&self) -> &'static str {
        self.chosen_by
    }

    /// Returns the backend, which is built in.
    #[must_use]
    pub fn backend(&self) -> &'static Backend {
        self.backend
    }

    /// Returns the name of its key ring, which may not exist.
    #[must_use]
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// Returns the name to record with newly stored credentials. `None` if the profile has no field
    /// `created_by`.
    ///
    /// # Errors
    /// If the name is not 1 to 256 bytes of printable ASCII, or its variable is not set.
    pub fn created_by(&self) -> Result<Option<CreatedBy>, Error> {
        let name = self.node.get("created_by").map(|node| node.read_text()).transpose();
        name.map_err(|error| error.in_file(self.file()))
    }

    /// Returns the file that defines the profile.
    #[must_use]
    pub fn file(&self) -> &ConfigFile {
        self.node.file()
    }

    /// Returns its key ring: the first one of this name in the files. For a profile of the user's
    /// file, only the ring in that file counts.
    ///
    /// # Errors
    /// If the ring does not exist or has an invalid field.
    pub fn keys(&self) -> Result<Ring, Error> {
        let node = self.ring_node.as_ref().ok_or_else(|| Error::NoRing {
            at: self.node.nearest("ring").place(),
            profile: self.name.clone(),
            ring: self.ring.clone(),
        })?;
        Ring::read(&self.ring, node).map_err(|error| error.in_file(node.file()))
    }

    /// Returns the file that defines its key ring. `None` if the ring does not exist.
    #[must_use]
    pub fn file_of_ring(&self) -> Option<&ConfigFile> {
        self.ring_node.as_ref().map(Node::file)
    }

    /// Whether both profiles use the same key ring.
    #[must_use]
    pub fn has_ring_of(&self, other: &Profile<'_>) -> bool {
        let path = |profile: &Profile<'_>| profile.file_of_ring().map(|file| file.path().to_owned());
        self.ring == other.ring && path(self) == path(other)
    }

    /// Returns the names of the backend's fields that the file sets.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        self.node
            .entries()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !PROFILE_FIELDS.contains(name))
            .collect()
    }

    /// Reads the backend's configuration and creates its provider, without connecting. Blocks: it
    /// reads files with secrets.
    ///
    /// # Errors
    /// If a field is invalid, a secret cannot be read, or the backend rejects its configuration.
    pub fn open(&self) -> Result<Arc<dyn StorageProvider>, Error> {
        (self.driver.open)(&self.with_field_rules()).map_err(|error| match error {
            OpenError::Value(error) => error.in_file(self.file()),
            OpenError::Config(error) => self.invalid(&error),
        })
    }

    /// Whether both profiles use the same store, judging by their configurations. Blocks: it reads
    /// files with secrets.
    ///
    /// # Errors
    /// If a field is invalid, or a secret cannot be read.
    pub fn is_store_of(&self, other: &Profile<'_>) -> Result<bool, Error> {
        let identity = |profile: &Profile<'_>| {
            (profile.driver.identity)(&profile.with_field_rules())
                .map_err(|error| error.in_file(profile.file()))
        };
        Ok(self.backend.name() == other.backend.name() && identity(self)? == identity(other)?)
    }

    /// The profile's table, with the rules for the backend's secret fields and paths.
    fn with_field_rules(&self) -> Node<'_> {
        self.node.clone().with_field_rules(self.backend.secrets, self.backend.paths)
    }

    fn invalid(&self, error: &ConfigError) -> Error {
        let (field, problem) = match error {
            ConfigError::Invalid { field, problem, .. } => (field.to_string(), problem.to_string()),
            error => (error.field().to_owned(), error.to_string()),
        };
        // An error of the retry policy names only the field within the policy.
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
