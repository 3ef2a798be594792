//! The provider and the sealer of a profile.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use cred_core::{CreatedBy, Sealer, StorageProvider};

use crate::config::Config;
use crate::error::Error;
use crate::file::{ConfigFile, Origin};

/// What a manager of credentials is built of. See [`open`].
#[non_exhaustive]
pub struct Store {
    /// The backend, which connects at the first use.
    pub provider: Arc<dyn StorageProvider>,
    /// The key ring, whose keys are read.
    pub sealer: Arc<dyn Sealer>,
    /// The name that the manager is to record with credentials that are first stored; `None`: the
    /// profile has no line `created_by`.
    pub created_by: Option<CreatedBy>,
}

/// Without the contents: a provider and a sealer hold secrets.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// Opens a profile of a `cred.toml`: makes its storage provider, and reads its key ring.
///
/// `profile`: the name of the profile. `None`: the profile that the variable `CRED_PROFILE` names,
/// or else the line `profile` of the file, or else the only profile.
///
/// **Blocks**: it reads files, waits up to 30 s for a pipe that is named in the place of a file,
/// and then until its writer closes it, and derives each passphrase that has a check, which takes a
/// tenth of a second or more. Call it before the service starts its work, or with `spawn_blocking`.
/// It makes no connection. Some providers need a Tokio runtime when they are used, and none needs
/// one here.
///
/// **Trust**: whoever can write the file decides where secrets go, which files and variables are
/// read, and which programs the backend starts. Pass only the path of a file that you trust: the
/// rules below keep other users out, and they do not make a file from elsewhere harmless.
///
/// The file may be a link or a pipe and may belong to any user, and must not be writable by other
/// users, nor be in a folder that they can write.
///
/// # Errors
/// If the file cannot be read or is not as the crate's documentation describes it, if the profile,
/// its key ring or its backend does not exist, if a key or a secret cannot be read, if a key's
/// passphrase is to be asked for (only the program `cred` asks), or if the backend refuses its
/// configuration. See [`Error`] for what a message contains.
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
        let problem = "has a passphrase that is asked for, which only the program `cred` does; write \
                       `passphrase = { file = \"PATH\" }` or `passphrase = { env = \"NAME\" }`";
        Err(key.refused(problem.to_owned()))
    })?;
    Ok(Store { provider: profile.open()?, sealer: Arc::new(sealer), created_by })
}
