//! Opens a manager from a `cred.toml`.

use std::path::Path;

pub use cred_config::{Error as OpenError, SecretSource};
use cred_manager::{CredentialManager, CredentialManagerBuilder, Yes};

/// Opens a `cred.toml` and builds a manager with default settings, without a cache.
///
/// The environment variable `CRED_PROFILE` selects the profile, or else the line `profile` of the
/// file. Without either, the file must have exactly one profile. To select another profile, or to
/// change settings such as the cache, use [`configure`].
///
/// The file, and the keys and secrets to which it refers, are read on a blocking thread. No
/// connection is made: the first operation connects to the backend.
///
/// **Security**: a principal that can write the file controls where secrets are sent, which files
/// and environment variables are read, and which programs a backend starts. Only open a file that
/// you trust.
///
/// # Errors
/// [`OpenError`] names the file, the line and the field, explains what to do, and never contains a
/// value. A `main` that returns it, or a `Box<dyn Error>`, prints the message and its causes.
///
/// # Cancellation
/// If the future is dropped, no manager is built, but reading continues to its end.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = cred::open("cred.toml").await?;
/// # Ok(())
/// # }
/// ```
pub async fn open(path: impl AsRef<Path>) -> Result<CredentialManager, OpenError> {
    Ok(configure(path, None).await?.build())
}

/// Opens a profile of a `cred.toml` and returns a manager builder with the storage, the keys and
/// the `created_by` of the profile. `None`: the same profile as for [`open`].
///
/// # Errors
/// As [`open`].
///
/// # Cancellation
/// As [`open`].
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let builder = cred::configure("cred.toml", Some("production")).await?;
/// let manager = builder.cache_ttl(Duration::from_secs(60)).build();
/// # Ok(())
/// # }
/// ```
pub async fn configure(
    path: impl AsRef<Path>,
    profile: Option<&str>,
) -> Result<CredentialManagerBuilder<Yes, Yes>, OpenError> {
    let (path, profile) = (path.as_ref().to_owned(), profile.map(str::to_owned));
    let read = tokio::task::spawn_blocking(move || cred_config::open(path, profile.as_deref()));
    let store = match read.await {
        Ok(store) => store?,
        // A panic is a defect, so the caller gets it as a panic.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: no caller waits for the result.
            Err(_) => std::future::pending().await,
        },
    };
    let builder = CredentialManager::builder().storage(store.provider).keys(store.sealer);
    Ok(builder.created_by(store.created_by))
}
