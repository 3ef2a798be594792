//! A manager from a `cred.toml`.

use std::path::Path;

pub use cred_config::{Error as OpenError, SecretSource};
use cred_manager::{CredentialManager, CredentialManagerBuilder, Yes};

/// Opens a `cred.toml` and builds a manager of its default settings, which caches nothing.
///
/// The profile is the one that the variable `CRED_PROFILE` names, else the line `profile` of the
/// file, else the only one. [`configure`] chooses another, and gives the builder, for a cache and
/// the other settings.
///
/// It reads the file, and the keys and secrets that the file names, on a thread that may block, and
/// makes no connection: the backend is first used by the first operation.
///
/// **Trust**: whoever can write the file decides where secrets go, which files and variables are
/// read, and which programs a backend starts. Give only a file that you trust.
///
/// # Errors
/// [`OpenError`] names the file, the line and the field, says what to do, and never repeats a
/// value. A `main` that returns it, or a `Box<dyn Error>`, prints that message and its causes.
///
/// # Cancellation
/// Dropping the future builds nothing; reading goes on to its end.
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

/// Opens a profile of a `cred.toml` and gives the builder of a manager, with storage, keys and
/// the line `created_by` of the profile set. `None`:
/// the profile that [`open`] takes.
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
        // It panicked: a defect, which is the caller's to see as one.
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody waits for an answer.
            Err(_) => std::future::pending().await,
        },
    };
    let builder = CredentialManager::builder().storage(store.provider).keys(store.sealer);
    Ok(builder.created_by(store.created_by))
}
