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

/// Create a key, a store, and a cred.toml that names both
#[derive(Args)]
#[command(after_help = "Examples:
  cred init
  cred init --user
  cred init --backend vault --name production

The key is created in $XDG_CONFIG_HOME/cred/keys or ~/.config/cred/keys, readable only by you. Keep a copy of it outside the store: without the key, no \
credential can be opened.")]
pub(crate) struct Init {
    /// Write the user's file, $XDG_CONFIG_HOME/cred/cred.toml or ~/.config/cred/cred.toml, instead
    /// of cred.toml in this folder
    #[arg(long)]
    user: bool,
    /// The backend of the profile
    #[arg(long, default_value = "local", value_name = "NAME")]
    backend: String,
    /// The name of the profile; default: `dev`, or `user` with --user, or the next free name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The folder for local credentials; default: a new folder in $XDG_DATA_HOME/cred or
    /// ~/.local/share/cred
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// The new file for the key; default: a file in $XDG_CONFIG_HOME/cred/keys or
    /// ~/.config/cred/keys
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, app: &App) -> Result<(), Failure> {
        let backend = config::backend(&self.backend)
            .map_err(|problem| Failure::usage(format!("`{}` {problem}", self.backend)))?;
        // The name is written without quotes, so a dot would be another table and a space invalid.
        let is_bare = |name: &String| is_name(name) && !name.contains('.');
        if !self.name.as_ref().is_none_or(is_bare) {
            return Err(Failure::usage("the value of --name is not a valid profile name")
                .hint("a profile name has 1 to 64 letters, digits, `-` and `_`, such as `my-dev`"));
        }
        let config = match self.user {
            true => file::user_file().ok_or_else(no_home)?,
            false => here()?.join(file::NAME),
        };
        if file::exists(&config) {
            return Err(Failure::usage(format!(
                "the configuration file `{}` already exists",
                config.display()
            ))
            .hint("edit it, or delete it first"));
        }
        // A project cannot redefine a profile or a ring of the user's file.
        let taken = if self.user { UserNames::default() } else { UserNames::read()? };
        let (profile, ring) = if self.user { ("user", "user") } else { ("dev", "main") };
        let profile = match self.name {
            Some(ref name) if taken.profiles.contains(name) => {
                return Err(Failure::usage(format!("your own cred.toml already has a profile `{name}`"))
                    .hint("choose another name: a project cannot redefine your own profiles"));
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
        let mut created = CreatedPaths::default();
        let mut fields = backend.template().to_owned();
        if fields.contains("{store}") {
            let store = self.create_store(&stem, &mut created)?;
            fields = fields.replace("{store}", &quoted(&store)?);
            // A store that was moved or is not mounted is then an error, not a new empty store.
            fields.push_str("create_dir = false\n");
        }
        let key_file = self.create_key(&key_id, &stem)?;
        created.files.push(key_file.clone());

        let ring_line = match ring.as_str() {
            Ring::DEFAULT => String::new(),
            ring => format!("ring = \"{ring}\"\n"),
        };
        let text = format!(
            "# Profiles and key rings of `cred`. Do not write secrets here. Run `cred doctor` to test this file.\n\
             profile = \"{profile}\"\n\n\
             [profiles.{profile}]\nbackend = \"{}\"\n{ring_line}{fields}\n\
             [rings.{ring}]\nactive = \"{key_id}\"\nkeys.{key_id} = {{ file = {} }}\n",
            backend.name(),
            quoted(&key_file)?,
        );
        private_folder(folder).map_err(|error| Failure::file("create the folder", folder, error))?;
        edit::create(&config, &text, 0o644).map_err(|error| Failure::file("write", &config, error))?;
        created.files.push(config.clone());
        let file = match self.user {
            true => ConfigFile::read(config.clone(), Origin::User, None)?,
            false => file::of_project(config.clone())?,
        };
        match file::user_folder() {
            Some(_) if !self.user => trust::record(&file, trust::Trusted::of(&file)?)?,
            Some(_) => {}
            None => app.output.warn(format!(
                "HOME is not set, so the file could not be recorded as trusted; set CRED_TRUST={}",
                trust::Trusted::of(&file)?.to_variable()
            )),
        }
        created.keep();
        if app.output.json {
            return app.output.document(&serde_json::json!({
                "config": config.to_string_lossy(), "key_file": key_file.to_string_lossy(), "key": key_id.as_str(), "profile": profile,
            }));
        }
        app.output.info(format!("Created {} with the profile {}.", config.display(), profile));
        app.output.info(format!("Created the key {key_id}: {}", key_file.display()));
        app.output
            .info("Keep a copy of the key outside the store: without the key, no credential can be opened.");
        app.output.info("Next: cred set org:acme/my-first-secret");
        Ok(())
    }

    /// Creates the folder of the store. Two projects with the same name never share one.
    fn create_store(&self, stem: &str, created: &mut CreatedPaths) -> Result<PathBuf, Failure> {
        let failed = |path: &Path, error| Failure::file("create the folder", path, error);
        if let Some(store) = &self.store {
            let store = here()?.join(store);
            let is_new = !store.exists();
            private_folder(&store).map_err(|error| failed(&store, error))?;
            if is_new {
                created.folders.push(store.clone());
            }
            return Ok(store);
        }
        let folder = data_folder()?;
        private_folder(&folder).map_err(|error| failed(&folder, error))?;
        for store in names(&folder, stem, "") {
            match edit::folder_builder(false).create(&store) {
                Ok(()) => {
                    created.folders.push(store.clone());
                    return Ok(store);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&store, error)),
            }
        }
        Err(Failure::usage(format!("could not find a free name for the store in `{}`", folder.display()))
            .hint("pass a folder with --store"))
    }

    fn create_key(&self, key_id: &KeyId, stem: &str) -> Result<PathBuf, Failure> {
        let path = match &self.key_file {
            Some(path) => here()?.join(path),
            None => free_path(&keys_folder()?, &format!("{stem}-{key_id}"), ".key"),
        };
        create_key_file(&path)?;
        Ok(path)
    }
}

/// The files and folders created so far. They are deleted on drop, unless the command completed.
#[derive(Default)]
struct CreatedPaths {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl CreatedPaths {
    fn keep(&mut self) {
        self.files.clear();
        self.folders.clear();
    }
}

impl Drop for CreatedPaths {
    fn drop(&mut self) {
        // A leftover is harmless, and the cause of the failure is reported anyway.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The names in the user's file, which a project cannot use.
#[derive(Default)]
struct UserNames {
    profiles: BTreeSet<String>,
    rings: BTreeSet<String>,
}

impl UserNames {
    fn read() -> Result<Self, Failure> {
        let Some(file) = file::existing_user_file()? else { return Ok(Self::default()) };
        let names = |kind: &str| {
            file.names().filter(|(of, _)| *of == kind).map(|(_, name)| name.to_owned()).collect()
        };
        Ok(Self { profiles: names("profiles"), rings: names("rings") })
    }
}

/// The first of `name`, `name-2`, ... that is not taken.
fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_else(|| name.to_owned())
}

/// `main-`, the year and four random letters. Keys are replaced from time to time, and the letters
/// make ids easy to distinguish.
fn first_key_id() -> Result<KeyId, Failure> {
    let year: String = moment::formatted(Timestamp::now()).chars().take(4).collect();
    let suffix: String = input::random::<4>()?.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    Ok(format!("main-{year}-{suffix}").parse()?)
}

/// Creates a key file, and its folder.
pub(crate) fn create_key_file(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    private_folder(folder).map_err(|error| Failure::file("create the folder", folder, error))?;
    SealingKey::create_file(path).map(|_| ()).map_err(|error: KeyRingError| error.into())
}

/// The folder for new keys.
pub(crate) fn keys_folder() -> Result<PathBuf, Failure> {
    Ok(file::user_folder().ok_or_else(no_home)?.join("keys"))
}

/// The first of `stem`, `stem-2`, ... that does not exist.
pub(crate) fn free_path(folder: &Path, stem: &str, end: &str) -> PathBuf {
    let first = || folder.join(format!("{stem}{end}"));
    names(folder, stem, end).find(|path| path.symlink_metadata().is_err()).unwrap_or_else(first)
}

fn names(folder: &Path, stem: &str, end: &str) -> impl Iterator<Item = PathBuf> {
    (1..=1_000_u32).map(move |number| match number {
        1 => folder.join(format!("{stem}{end}")),
        _ => folder.join(format!("{stem}-{number}{end}")),
    })
}

/// Formats a path as a TOML string.
fn quoted(path: &Path) -> Result<String, Failure> {
    Ok(toml_edit::value(utf8(path)?).to_string().trim().to_owned())
}

/// Converts a path to text, for a file.
pub(crate) fn utf8(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!("the path `{}` is not UTF-8, so cred.toml cannot contain it", path.display()))
            .hint("rename the file or the folder")
    })
}

fn data_folder() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| ProcessEnv.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    Ok(data.ok_or_else(no_home)?.join("cred"))
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| {
        Failure::new(Exit::Failed, "could not determine the current folder").caused_by(error)
    })
}

fn no_home() -> Failure {
    Failure::usage("the variable HOME is not set, so the folder for the user's files is unknown")
        .hint("set HOME, or pass --key-file and --store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_path_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let name = || free_path(folder.path(), "key", ".key");
        assert!(name().ends_with("key.key"));
        fs::write(name(), "").unwrap();
        assert!(name().ends_with("key-2.key"));
    }
}
