//! What the files say: profiles and key rings.

pub(crate) mod edit;
pub(crate) mod effects;
pub(crate) mod file;
mod opened;
pub(crate) mod ring;
pub(crate) mod secret;
pub(crate) mod trust;
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
    /// Reads the files. Whether a project's file may be used, [`require_trust`](Self::require_trust)
    /// decides: nothing that the files name is looked at before.
    pub(crate) fn find(given: Option<&Path>, asked: Option<String>) -> Result<Self, Failure> {
        let files = file::find(given)?;
        let config = Self { files, asked };
        config.refuse_redefinitions()?;
        Ok(config)
    }

    /// Fails where a project's file is not trusted, and says what it would do.
    pub(crate) fn require_trust(&self) -> Result<(), Failure> {
        for file in &self.files {
            if !trust::is_trusted(file)? {
                let why = match trust::TrustRecord::read()?.has(file) {
                    true => {
                        "was trusted, and has changed since then, or a file in its folder that it names has"
                    }
                    false => "is not trusted",
                };
                let path = file.path.display();
                return Err(Failure::config(format!(
                    "the project's file `{path}` {why}, so it was not used"
                ))
                .untrusted(effects::of(file))
                .hint("read it; then run `cred trust`, or use another file with --config"));
            }
        }
        Ok(())
    }

    /// A project that took the place of a user's profile or ring would get what is meant for the user's.
    fn refuse_redefinitions(&self) -> Result<(), Failure> {
        let [project, user] = self.files.as_slice() else { return Ok(()) };
        let of_user: Vec<_> = names(user).collect();
        match names(project).find(|name| of_user.contains(name)) {
            None => Ok(()),
            Some((kind, name)) => Err(Failure::config(format!(
                "`{}` and `{}` both have {} `{name}`",
                project.path.display(),
                user.path.display(),
                if kind == "rings" { "a ring" } else { "a profile" },
            ))
            .hint("a project cannot redefine what is yours: rename one of them")),
        }
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

    /// The names of all variables that any file reads keys and secrets from, also where that does not
    /// fit or its backend is not built in. A variable of a field that is not secret is not one of them.
    pub(crate) fn variables(&self) -> BTreeSet<&str> {
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
                let known = backend::find(named).ok();
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

    /// All profiles that are sealed with a profile's ring.
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
        // A user's profile is never sealed with a ring of a project.
        let ring_node = match node.file().origin {
            Origin::User => node.file().root().get("rings").and_then(|rings| rings.get(&ring)),
            Origin::Given | Origin::Project => self.table("rings", &ring),
        };
        Ok(Profile { name: name.to_owned(), chosen_by, backend, ring, node, ring_node })
    }

    /// The table of a name in the files.
    fn table(&self, kind: &str, name: &str) -> Option<Node<'_>> {
        self.files.iter().find_map(|file| file.root().get(kind)?.get(name))
    }
}

impl Profile<'_> {
    /// Name and file, for the report of a write.
    pub(crate) fn shown(&self) -> String {
        format!("{} of {}", self.name, self.file().path.display())
    }

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
        let node = self.node.clone().with_special(self.backend.secrets, self.backend.paths);
        (self.backend.open)(&Fields(&node)).map_err(|error| match error {
            OpenError::Misfit(misfit) => refused(self.file(), &misfit),
            OpenError::Config(error) => self.invalid(&error),
        })
    }

    /// Whether both keep credentials in one place.
    pub(crate) fn is_store_of(&self, other: &Profile<'_>) -> Result<bool, Failure> {
        let place = |profile: &Profile<'_>| {
            let node = profile.node.clone().with_special(profile.backend.secrets, profile.backend.paths);
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

/// What a profile or a ring may be called: 1 to 64 of `A-Z a-z 0-9 . _ -`.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// Refuses a file with a table that has no meaning, or a name that could not be shown.
fn check(file: &ConfigFile) -> Result<(), Misfit> {
    for (name, node) in file.root().entries() {
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
    match names(file).find(|(_, name)| !is_name(name)) {
        None => Ok(()),
        Some((kind, _)) => {
            Err(file.root().nearest(kind).misfit("has a name that is not 1 to 64 of A-Z a-z 0-9 . _ -"))
        }
    }
}

/// The profiles and rings of a file, each as kind and name.
fn names(file: &ConfigFile) -> impl Iterator<Item = (&'static str, &str)> {
    ["profiles", "rings"].into_iter().flat_map(|kind| {
        let entries = file.root().get(kind).map(|node| node.entries()).unwrap_or_default();
        entries.into_iter().map(move |(name, _)| (kind, name))
    })
}

fn refused(file: &ConfigFile, misfit: &Misfit) -> Failure {
    Failure::config(format!("{}: {misfit}", place(file, misfit.line())))
}

fn place(file: &ConfigFile, line: usize) -> String {
    format!("{}:{line}", file.path.display())
}
