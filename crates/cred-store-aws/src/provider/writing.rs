//! Writes and deletions, also over secrets that are scheduled for deletion.

use std::time::Duration;

use cred_core::{Description, PathRef, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{CredentialFile, Wire, limits, tags};

use super::SecretsManager;
use crate::AwsOverDeleted;
use crate::client::{NewVersion, SecretState};
use crate::error::is_state_refusal;

/// The first and the longest pause before a blocked write is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How often AWS may refuse a secret because of its state although `DescribeSecret` finds it live.
/// Other clients may restore and delete it; after more refusals, the reason must be another one.
const MAX_LIVE_REFUSALS: u32 = 3;

/// The recovery window for deleting a restored secret again if none is configured: AWS's default.
const DEFAULT_RECOVERY_DAYS: u8 = 30;

impl SecretsManager {
    /// Creates the version to write, and checks its size and tags.
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
            // Random: if it were derived from the contents, storing A, B and A would leave B
            // current.
            token: format!("{:032x}", fastrand::u128(..)),
            tags,
        })
    }

    /// Overwrites the secret, or creates it if it does not exist. Tries again while other clients
    /// create and delete the secret, and while AWS is still deleting one of that name. Describes
    /// the secret before the first write only if `update_tags` is set.
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
                // It was deleted, and AWS has not finished yet.
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
                    "AWS is still deleting a secret of that name, or other clients keep creating and deleting it",
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
        // If the description found no secret, the update would not find one either.
        if state.is_some() || !self.config.update_tags {
            match self.overwrite(wire, version, state).await {
                Err(error) if error.is_not_found() => {}
                answer => return answer,
            }
        }
        wire.write(|_| self.client.create(version)).await
    }

    /// Overwrites a secret. Its tags are changed first: if AWS refuses them, the value is still the
    /// old one.
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

    /// Restores a secret that is scheduled for deletion and overwrites it, if that is configured.
    /// `None`: it can no longer be restored.
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
                Err(error) if !wire.outcome_unknown() => {
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

    /// Deletes a secret again that was restored and could not be written, unless another client has
    /// written it since.
    async fn delete_again(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        state: &SecretState,
        failed: &StorageError,
    ) -> StorageError {
        let again = match self.describe(wire, name).await {
            // Ignores whether it is scheduled: the description may not show the restoration yet.
            Ok(Some(now)) if now.current_version == state.current_version => {
                let days = self.config.recovery_window_days.unwrap_or(DEFAULT_RECOVERY_DAYS);
                match wire.write(|_| self.client.delete(name, Some(days))).await {
                    Err(error) if !is_state_refusal(&error) => Err(error.to_string()),
                    _ => Ok(()),
                }
            }
            // Another client has written or deleted it.
            Ok(_) => return failed.clone(),
            Err(error) => Err(error.to_string()),
        };
        let reason = match again {
            Ok(()) => format!("{}; it was deleted again", failed.kind()),
            Err(error) => format!("{}; deleting it again also failed: {error}", failed.kind()),
        };
        StorageErrorKind::RecoveredNotWritten { reason: reason.into() }.into()
    }

    /// Deletes a secret as configured. Succeeds if it does not exist or is already scheduled for
    /// deletion.
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
