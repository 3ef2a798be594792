//! Opens the storage provider and the sealer of a profile.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cred_core::{CreatedBy, Sealer, StorageProvider};

use crate::config::Config;
use crate::error::Error;
use crate::file::{ConfigFile, Origin};

/// The parts that a `CredentialManager` is built from, returned by [`open`].
#[non_exhaustive]
pub struct Store {
    /// The storage provider, which connects on first use.
    pub provider: Arc<dyn StorageProvider>,
    /// The key ring, with its keys loaded.
    pub sealer: Arc<dyn Sealer>,
    /// The name that the manager should record with newly stored credentials. `None` if the profile
    /// has no field `created_by`.
    pub created_by: Option<CreatedBy>,
}

/// Prints no contents: a provider and a sealer contain secrets.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// Opens a profile of a `cred.toml`: creates its storage provider and loads its key ring.
///
/// `profile` is the name of the profile. With `None`, the variable `CRED_PROFILE` selects the
/// profile, else the line `profile` of the file. Without either, the file must have exactly one
/// profile.
///
/// The call does not connect to the backend. Some providers need a Tokio runtime when they are
/// used, but none needs one here.
///
/// # Blocking
/// Call this function before the service starts its work, or with `spawn_blocking`:
/// - It reads files. For a pipe instead of a file, it waits up to 30 s for a writer and then until
///   the writer closes the pipe.
/// - It derives the key of each passphrase that has a `check`, which takes a tenth of a second or
///   more.
///
/// # Trust
/// A principal that can write the file decides where secrets go, which files and variables are
/// read, and which programs the backend starts. Pass only the path of a file that you trust. The
/// checks below keep other users out, but do not make a file from elsewhere harmless.
///
/// The file may be a link or a pipe and may belong to any user. The file and its folder must not be
/// writable by other users.
///
/// # Errors
/// - The file cannot be read, or does not have the format in the crate's documentation.
/// - The profile, its key ring or its backend does not exist.
/// - A key or a secret cannot be read, or a key has `passphrase = "prompt"`, which only the program
///   `cred` supports.
/// - The backend rejects its configuration.
///
/// See [`Error`] for the contents of a message.
///
/// # Examples
/// ```
/// # #[cfg(all(unix, feature = "local"))]
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use cred_core::{Credential, field};
/// use cred_manager::CredentialManager;
///
/// let folder = tempfile::tempdir()?;
/// cred_crypto::SealingKey::create_file(folder.path().join("main.key"))?;
/// let path = folder.path().join("cred.toml");
/// let text = r#"
///     [profiles.dev]
///     backend = "local"
///     base_path = "store"
///
///     [rings.main]
///     active = "main"
///     keys.main = { file = "main.key" }
/// "#;
/// std::fs::write(&path, text)?;
///
/// let store = cred_config::open(&path, Some("dev"))?;
/// let manager = CredentialManager::builder().storage(store.provider).keys(store.sealer).build();
/// let id = "stripe-api-key".parse()?;
/// manager.store(&id, Credential::api_key("sk_live_example")).await?;
/// let found = manager.retrieve(&id).await?.ok_or("nothing is stored")?;
/// assert_eq!(found.expose_text(field::VALUE)?, "sk_live_example");
/// manager.shutdown().await?;
/// # Ok(())
/// # }
/// # #[cfg(all(unix, feature = "local"))]
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(start()).unwrap();
/// ```
pub fn open(path: impl AsRef<Path>, profile: Option<&str>) -> Result<Store, Error> {
    let file = ConfigFile::read(path.as_ref().to_owned(), Origin::Given, None)?;
    let config = Config::new(vec![file]);
    let profile = match profile {
        Some(name) => config.profile(name, "the caller")?,
        None => config.chosen()?,
    };
    let created_by = profile.created_by()?;
    let sealer = profile.keys()?.load(|key| {
        let problem = "has a passphrase from a prompt, which only the program `cred` supports; write \
                       `passphrase = { file = \"PATH\" }` or `passphrase = { env = \"NAME\" }`";
        Err(key.refused(problem.to_owned()))
    })?;
    Ok(Store { provider: profile.open()?, sealer: Arc::new(sealer), created_by })
}
