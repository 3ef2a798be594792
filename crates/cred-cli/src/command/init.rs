//! `cred init`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use cred_config::model::{ConfigFile, Origin, Ring, is_name};
use cred_core::{KeyId, Timestamp};
use cred_crypto::{KeyRingError, SealingKey};
use cred_provider_kit::{Env as _, ProcessEnv};

use crate::app::App;
use crate::config::edit::private_folder;
use crate::config::{self, edit, file, trust};
use crate::failure::{Exit, Failure};
use crate::{input, moment};

/// Makes a key, a place to keep credentials in, and a cred.toml that names both
#[derive(Args)]
#[command(after_help = "Examples:
  cred init
  cred init --user
  cred init --backend vault --name production

The key is made below ~/.config/cred/keys, readable by you alone. Keep a copy of it where the store is not: without it
nothing opens any more.")]
pub(crate) struct Init {
    /// Writes the user's file instead of cred.toml in this folder
    #[arg(long)]
    user: bool,
    /// The backend of the profile
    #[arg(long, default_value = "local", value_name = "NAME")]
    backend: String,
    /// The profile's name; default: `dev`, or `user` with --user, or the next free name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The folder for local credentials; default: a new one of your data folder
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// A new file for the key; default: one below ~/.config/cred/keys
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let backend = config::backend(&self.backend)
            .map_err(|problem| Failure::usage(format!("`{}` {problem}", self.backend)))?;
        // It is written bare: a dot or a space would be another table, or none.
        let is_bare = |name: &String| is_name(name) && !name.contains('.');
        if !self.name.as_ref().is_none_or(is_bare) {
            return Err(Failure::usage("that is no name for a profile")
                .hint("a name has at most 64 letters, digits, `-` and `_`, as in `my-dev`"));
        }
        let config = match self.user {
            true => file::user_file().ok_or_else(no_home)?,
            false => here()?.join(file::NAME),
        };
        if file::exists(&config) {
            return Err(Failure::usage(format!("`{}` exists already", config.display()))
                .hint("edit it, or remove it first"));
        }
        // A project cannot have a profile or a ring of the user's file.
        let taken = if self.user { Taken::default() } else { Taken::by_the_user()? };
        let (profile, ring) = if self.user { ("user", "user") } else { ("dev", "main") };
        let profile = match self.name {
            Some(ref name) if taken.profiles.contains(name) => {
                return Err(Failure::usage(format!("your own cred.toml has a profile `{name}`"))
                    .hint("choose another name: a project cannot redefine what is yours"));
            }
            Some(ref name) => name.clone(),
            None => free_name(profile, &taken.profiles),
        };
        let ring = free_name(ring, &taken.rings);
        let key_id = first_key_id()?;
        let folder = config.parent().unwrap_or(Path::new("/"));
        if folder.exists() {
            file::check_folder(folder)?;
        }
        let project = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let project: String =
            project.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let stem = if self.user || project.is_empty() { "user".to_owned() } else { project };
        let mut made = Made::default();
        let mut fields = backend.template().to_owned();
        if fields.contains("{store}") {
            let store = self.made_store(&stem, &mut made)?;
            fields = fields.replace("{store}", &quoted(&store)?);
            // A store that was moved away or is not mounted is an error then, and no empty one.
            fields.push_str("create_dir = false\n");
        }
        let key_file = self.made_key(&key_id, &stem)?;
        made.files.push(key_file.clone());

        let ring_line = match ring.as_str() {
            Ring::DEFAULT => String::new(),
            ring => format!("ring = \"{ring}\"\n"),
        };
        let text = format!(
            "# Profiles and key rings of `cred`; secrets are not written here. `cred doctor` tries what it says.\n\
             profile = \"{profile}\"\n\n\
             [profiles.{profile}]\nbackend = \"{}\"\n{ring_line}{fields}\n\
             [rings.{ring}]\nactive = \"{key_id}\"\nkeys.{key_id} = {{ file = {} }}\n",
            backend.name(),
            quoted(&key_file)?,
        );
        private_folder(folder).map_err(|error| Failure::file("make the folder", folder, error))?;
        edit::create(&config, &text, 0o644).map_err(|error| Failure::file("write", &config, error))?;
        made.files.push(config.clone());
        let file = match self.user {
            true => ConfigFile::read(config.clone(), Origin::User, None)?,
            false => file::of_project(config.clone())?,
        };
        match file::user_folder() {
            Some(_) if !self.user => trust::record(&file, trust::Trusted::of(&file)?)?,
            Some(_) => {}
            None => app.output.warn(format!(
                "HOME is not set, so the file is not recorded as trusted; set CRED_TRUST={}",
                trust::Trusted::of(&file)?.to_variable()
            )),
        }
        made.keep();
        if app.output.json {
            return app.output.document(&serde_json::json!({
                "config": config.to_string_lossy(), "key_file": key_file.to_string_lossy(), "key": key_id.as_str(), "profile": profile,
            }));
        }
        app.output.say(format!("Wrote {} with the profile {}.", config.display(), profile));
        app.output.say(format!("Made the key {key_id}: {}", key_file.display()));
        app.output.say("Keep a copy of the key where the store is not: without it nothing opens any more.");
        app.output.say("Next: cred set org:acme/my-first-secret");
        Ok(())
    }

    /// A folder of its own: two projects of one name never share a store.
    fn made_store(&self, stem: &str, made: &mut Made) -> Result<PathBuf, Failure> {
        let failed = |path: &Path, error| Failure::file("make the folder", path, error);
        if let Some(store) = &self.store {
            let store = here()?.join(store);
            let is_new = !store.exists();
            private_folder(&store).map_err(|error| failed(&store, error))?;
            if is_new {
                made.folders.push(store.clone());
            }
            return Ok(store);
        }
        let folder = data_folder()?;
        private_folder(&folder).map_err(|error| failed(&folder, error))?;
        for store in names(&folder, stem, "") {
            match edit::folder_builder(false).create(&store) {
                Ok(()) => {
                    made.folders.push(store.clone());
                    return Ok(store);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&store, error)),
            }
        }
        Err(Failure::usage(format!("no name is free in `{}`", folder.display()))
            .hint("name one with --store"))
    }

    fn made_key(&self, key_id: &KeyId, stem: &str) -> Result<PathBuf, Failure> {
        let path = match &self.key_file {
            Some(path) => here()?.join(path),
            None => free(&keys_folder()?, &format!("{stem}-{key_id}"), ".key"),
        };
        make_key(&path)?;
        Ok(path)
    }
}

/// What was made so far: it is removed again where a command does not get to its end.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    fn keep(&mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What cannot be removed harms nobody; why the command failed is said already.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The names of the user's file, which a project cannot use.
#[derive(Default)]
struct Taken {
    profiles: BTreeSet<String>,
    rings: BTreeSet<String>,
}

impl Taken {
    fn by_the_user() -> Result<Self, Failure> {
        let Some(file) = file::existing_user_file()? else { return Ok(Self::default()) };
        let names = |kind: &str| {
            file.names().filter(|(of, _)| *of == kind).map(|(_, name)| name.to_owned()).collect()
        };
        Ok(Self { profiles: names("profiles"), rings: names("rings") })
    }
}

/// `name`, `name-2`, ...: the first that is not taken.
fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_else(|| name.to_owned())
}

/// `main-`, the year, since a key is replaced now and then, and four random letters: an id that
/// differs in one of them is seen to be another.
fn first_key_id() -> Result<KeyId, Failure> {
    let year: String = moment::shown(Timestamp::now()).chars().take(4).collect();
    let suffix: String = input::random::<4>()?.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    Ok(format!("main-{year}-{suffix}").parse()?)
}

/// Makes a key file, and its folder.
pub(crate) fn make_key(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    private_folder(folder).map_err(|error| Failure::file("make the folder", folder, error))?;
    SealingKey::create_file(path).map(|_| ()).map_err(|error: KeyRingError| error.into())
}

/// Where keys are made.
pub(crate) fn keys_folder() -> Result<PathBuf, Failure> {
    Ok(file::user_folder().ok_or_else(no_home)?.join("keys"))
}

/// The first name that is not there: `stem`, `stem-2`, ...
pub(crate) fn free(folder: &Path, stem: &str, end: &str) -> PathBuf {
    let first = || folder.join(format!("{stem}{end}"));
    names(folder, stem, end).find(|path| path.symlink_metadata().is_err()).unwrap_or_else(first)
}

fn names(folder: &Path, stem: &str, end: &str) -> impl Iterator<Item = PathBuf> {
    (1..=1_000_u32).map(move |number| match number {
        1 => folder.join(format!("{stem}{end}")),
        _ => folder.join(format!("{stem}-{number}{end}")),
    })
}

/// As a string of TOML.
fn quoted(path: &Path) -> Result<String, Failure> {
    Ok(toml_edit::value(utf8(path)?).to_string().trim().to_owned())
}

/// A path that a file can contain.
pub(crate) fn utf8(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!("the path `{}` is not UTF-8, so cred.toml cannot contain it", path.display()))
            .hint("give the file or the folder another name")
    })
}

fn data_folder() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| ProcessEnv.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    Ok(data.ok_or_else(no_home)?.join("cred"))
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .map_err(|error| Failure::new(Exit::Failed, "this folder cannot be read").caused_by(error))
}

fn no_home() -> Failure {
    Failure::usage("the variable HOME is not set, so there is no place for the user's files")
        .hint("set it, or name the files with --key-file and --store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_name_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let name = || free(folder.path(), "key", ".key");
        assert!(name().ends_with("key.key"));
        fs::write(name(), "").unwrap();
        assert!(name().ends_with("key-2.key"));
    }
}
