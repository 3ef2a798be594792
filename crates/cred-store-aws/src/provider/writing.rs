//! Writes and deletions, and what stands in their way.

use std::time::Duration;

use cred_core::{Description, PathRef, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{CredentialFile, Wire, limits, tags};

use super::SecretsManager;
use crate::AwsOverDeleted;
use crate::client::{NewVersion, SecretState};
use crate::error::is_state_refusal;

/// The first pause while something stands in the way of a write, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How often AWS may refuse a secret as it is, although a look finds it live. Others restore and
/// delete; but more than that, and it is refused for another reason.
const MAX_LIVE_REFUSALS: u32 = 3;

/// The window in which a secret is scheduled again where none is configured: AWS's own.
const DEFAULT_RECOVERY_DAYS: u8 = 30;

impl SecretsManager {
    /// The version to be written, if it fits.
    pub(super) fn new_version(
        &self,
        path: PathRef<'_>,
        file: CredentialFile,
        description: &Description,
    ) -> StorageResult<NewVersion> {
        let tags = tags::AWS.project(&file.metadata.tags, &self.config.default_tags)?;
        let name = self.names.encode(path);
        let envelope = file.with_path(name.hashed.then(|| path.to_path())).encode_text()?;
        limits::check_payload_len(description, path, envelope.len())?;
        Ok(NewVersion {
            description: name.hashed.then(|| path.to_string()),
            name: name.text,
            envelope,
            // Random: made from the contents, it would leave B current after A, B, A.
            token: format!("{:032x}", fastrand::u128(..)),
            tags,
        })
    }

    /// Writes over the secret that exists, or creates it. Continues while other writers create and
    /// delete the secret, and while AWS still removes one of its name. Looks at the secret first
    /// only if its tags follow the metadata.
    pub(super) async fn store(&self, wire: &mut Wire<'_>, version: &NewVersion) -> StorageResult<()> {
        let (mut live_refusals, mut pause) = (0, FIRST_PAUSE);
        let mut refused = None;
        loop {
            let state = match self.config.update_tags || refused.is_some() {
                true => self.describe(wire, &version.name).await?,
                false => None,
            };
            match (&state, refused.take()) {
                (Some(secret), _) if secret.scheduled => {
                    if let Some(answer) = self.store_over_scheduled(wire, version, secret).await {
                        return answer;
                    }
                }
                (Some(_), Some(error)) if live_refusals == MAX_LIVE_REFUSALS => return Err(error),
                (Some(_), Some(_)) => live_refusals += 1,
                // Removed, and AWS has not finished yet.
                (None, Some(_)) => {}
                (state, None) => match self.overwrite_or_create(wire, version, state.as_ref()).await {
                    Err(error) if is_state_refusal(&error) => {
                        refused = Some(error);
                        continue;
                    }
                    Err(error) if is_conflict(&error) => {}
                    answer => return answer,
                },
            }
            if wire.pause(pause).await.is_err() {
                return Err(StorageError::busy(
                    "AWS still deletes a secret of that name, or others do all the time",
                ));
            }
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }

    async fn overwrite_or_create(
        &self,
        wire: &mut Wire<'_>,
        version: &NewVersion,
        state: Option<&SecretState>,
    ) -> StorageResult<()> {
        // A look that found nothing saves the update, which would find nothing either.
        if state.is_some() || !self.config.update_tags {
            match self.overwrite(wire, version, state).await {
                Err(error) if error.is_not_found() => {}
                answer => return answer,
            }
        }
        wire.write(|_| self.client.create(version)).await
    }

    /// Writes over a secret. Its tags come first: if AWS refuses them, the value is still the old
    /// one.
    async fn overwrite(
        &self,
        wire: &mut Wire<'_>,
        version: &NewVersion,
        state: Option<&SecretState>,
    ) -> StorageResult<()> {
        if let Some(state) = state.filter(|_| self.config.update_tags) {
            self.update_tags(wire, version, state).await?;
        }
        wire.write(|_| self.client.update(version)).await
    }

    /// Restores a secret that is scheduled for deletion and writes over it, where that is
    /// configured. `None`: it can no longer be restored.
    async fn store_over_scheduled(
        &self,
        wire: &mut Wire<'_>,
        version: &NewVersion,
        state: &SecretState,
    ) -> Option<StorageResult<()>> {
        if self.config.over_deleted == AwsOverDeleted::Refuse {
            return Some(Err(StorageError::invalid_request(
                "the secret of that name is scheduled for deletion; recover or purge it, or set `over_deleted` to recover",
            )));
        }
        wire.hold_back(self.config.timeout.saturating_mul(3));
        let answer = match wire.write(|_| self.client.restore(&version.name)).await {
            Ok(()) => match self.overwrite(wire, version, Some(state)).await {
                Err(error) if !wire.in_doubt() => {
                    wire.hold_back(Duration::ZERO);
                    Some(Err(self.delete_again(wire, &version.name, state, &error).await))
                }
                answer => Some(answer),
            },
            Err(error) if error.is_not_found() || is_state_refusal(&error) => None,
            Err(error) => Some(Err(error)),
        };
        wire.hold_back(Duration::ZERO);
        answer
    }

    /// Deletes what was restored and could not be written, unless somebody else has written it
    /// since.
    async fn delete_again(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        state: &SecretState,
        failed: &StorageError,
    ) -> StorageError {
        let again = match self.describe(wire, name).await {
            // Whether it looks scheduled does not matter: a look may lag behind the restoration.
            Ok(Some(now)) if now.current_version == state.current_version => {
                let days = self.config.recovery_window_days.unwrap_or(DEFAULT_RECOVERY_DAYS);
                match wire.write(|_| self.client.delete(name, Some(days))).await {
                    Err(error) if !is_state_refusal(&error) => Err(error.to_string()),
                    _ => Ok(()),
                }
            }
            // Theirs is there, or nothing.
            Ok(_) => return failed.clone(),
            Err(error) => Err(error.to_string()),
        };
        let reason = match again {
            Ok(()) => format!("{}; it was deleted again", failed.kind()),
            Err(error) => format!("{}; nor was it deleted again: {error}", failed.kind()),
        };
        StorageErrorKind::RecoveredNotWritten { reason: reason.into() }.into()
    }

    /// Deletes as configured. What is absent, or scheduled for deletion, is deleted already.
    pub(super) async fn remove(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut live_refusals = 0;
        loop {
            let refused =
                match wire.write(|_| self.client.delete(name, self.config.recovery_window_days)).await {
                    Err(error) if error.is_not_found() => return Ok(()),
                    Err(error) if is_state_refusal(&error) => error,
                    answer => return answer,
                };
            match self.describe(wire, name).await? {
                Some(secret) if !secret.scheduled && live_refusals == MAX_LIVE_REFUSALS => {
                    return Err(refused);
                }
                Some(secret) if !secret.scheduled => live_refusals += 1,
                _ => return Ok(()),
            }
        }
    }
}

fn is_conflict(error: &StorageError) -> bool {
    matches!(error.kind(), StorageErrorKind::Conflict { .. })
}
