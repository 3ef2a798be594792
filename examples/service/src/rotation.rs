//! The background job that rotates due credentials: in every replica; on AWS and Azure in one.

use std::error::Error;
use std::time::Duration;

use cred::{Credential, CredentialManager, CredentialPath};
use tokio_util::sync::CancellationToken;

/// Rotates due credentials, expired or not, at the start and then every hour. After `stop`, it
/// completes the rotation that has begun and returns.
pub async fn run(manager: CredentialManager, stop: CancellationToken) {
    let mut hour = tokio::time::interval(Duration::from_secs(60 * 60));
    while stop.run_until_cancelled(hour.tick()).await.is_some() {
        let Some(found) = stop.run_until_cancelled(manager.validate_tree()).await else { return };
        let found = found.unwrap_or_else(|error| {
            let error: &(dyn Error + 'static) = &error;
            tracing::warn!(error, "the credentials could not be validated");
            Vec::new()
        });
        let is_due = found.iter().filter(|found| found.result.is_rotation_due());
        for due in is_due.take_while(|_| !stop.is_cancelled()) {
            if let Err(error) = rotate(&manager, &due.path).await {
                tracing::error!(path = %due.path, error, "a credential could not be rotated");
            }
        }
    }
}

async fn rotate(manager: &CredentialManager, path: &CredentialPath) -> Result<(), Box<dyn Error>> {
    let fresh = issue()?; // `rotate_if_due` returns `None` if another replica was faster.
    if let Some(rotated) = manager.at(path)?.rotate_if_due(&path.id, |_| fresh.clone()).await? {
        tracing::info!(%path, version = rotated.version, "a credential was rotated");
    }
    Ok(())
}

/// A new value. A real service gets it from the issuer of the credential.
fn issue() -> Result<Credential, getrandom::Error> {
    let [high, low] = [getrandom::u64()?, getrandom::u64()?];
    Ok(Credential::api_key(format!("{high:016x}{low:016x}")))
}
