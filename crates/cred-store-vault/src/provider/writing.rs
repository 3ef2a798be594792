//! Writes, with and without a condition, and the handling of lost responses.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Description, PathRef, Revision, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{CredentialFile, Wire, limits};

use super::{Vault, revision};
use crate::client::{SecretState, Version};
use crate::error::{CallFailure, FailureCause};
use crate::versions::CurrentVersion;

/// How often a conditional creation tries again while other writers create and delete the secret.
const MAX_ATTEMPTS: u32 = 8;

/// The longest pause before an unconditional write tries again after another writer was faster.
const LONGEST_PAUSE_MS: u64 = 20;

impl Vault {
    async fn write_version(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
        cas: Option<u64>,
    ) -> Result<Version, CallFailure> {
        self.write(
            wire,
            |session| async move { self.client.write(session.token(), name, envelope, cas).await },
        )
        .await
    }

    /// Writes unconditionally, with one request. If the mount requires conditions, reads and writes
    /// until no other writer comes in between.
    pub(super) async fn store(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
    ) -> Result<(), CallFailure> {
        if !self.needs_cas.load(Ordering::Relaxed) {
            match self.write_version(wire, name, envelope, None).await {
                Err(failure) if failure.cause == FailureCause::CasRequired => {
                    self.needs_cas.store(true, Ordering::Relaxed);
                }
                answer => return answer.map(drop),
            }
        }
        loop {
            let cas = match self.read_state(wire, name).await? {
                SecretState::Live(secret)
                    if wire.outcome_unknown() && secret.envelope.as_deref() == Some(envelope) =>
                {
                    return Ok(());
                }
                SecretState::Live(secret) => secret.version.number,
                SecretState::Deleted { version } | SecretState::Destroyed { version } => version,
                SecretState::Absent => 0,
            };
            match self.write_version(wire, name, envelope, Some(cas)).await {
                Err(failure) if failure.cause == FailureCause::CasMismatch => {
                    let pause = Duration::from_millis(fastrand::u64(1..=LONGEST_PAUSE_MS));
                    wire.pause(pause).await?;
                }
                answer => return answer.map(drop),
            }
        }
    }

    /// Replaces exactly the expected revision.
    pub(super) async fn replace(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
        expected: &Revision,
    ) -> Result<Version, CallFailure> {
        // The number alone would accept a revision from before a permanent deletion.
        let number = match self.read_state(wire, name).await? {
            SecretState::Live(secret) if revision(&secret.version) == *expected => secret.version.number,
            SecretState::Live(_) => return Err(StorageError::conflict("another revision is stored").into()),
            _ => return Err(StorageError::conflict("the credential no longer exists").into()),
        };
        match self.write_version(wire, name, envelope, Some(number)).await {
            Err(failure) if failure.cause == FailureCause::CasMismatch && wire.outcome_unknown() => {
                let found = self.read_state(wire, name).await?;
                self.resolve_lost_write(wire, found, envelope, number, failure)
            }
            answer => answer,
        }
    }

    /// Writes only if the credential does not exist or is deleted.
    pub(super) async fn create(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
    ) -> Result<Version, CallFailure> {
        let mut cas = 0;
        for _ in 0..MAX_ATTEMPTS {
            let failure = match self.write_version(wire, name, envelope, Some(cas)).await {
                Err(failure) if failure.cause == FailureCause::CasMismatch => failure,
                answer => return answer,
            };
            cas = match self.read_state(wire, name).await? {
                // The deleted version may be that of an earlier attempt of this write: another
                // attempt would restore it.
                found if wire.outcome_unknown() => {
                    return self.resolve_lost_write(wire, found, envelope, cas, failure);
                }
                SecretState::Live(_) => return Err(failure),
                SecretState::Deleted { version } | SecretState::Destroyed { version } => version,
                SecretState::Absent => 0,
            };
        }
        Err(StorageError::conflict("other writers keep creating and deleting the credential; try again")
            .into())
    }

    /// Decides the result of a write over version `cas` that met another version after an attempt
    /// that may have succeeded: the version found may be that of the attempt. The outcome is known
    /// to be a conflict only if the version that this write would have created belongs to another
    /// writer and numbers never start again. A later version may have replaced that of the attempt,
    /// and without soft deletion the number may still return to `cas`.
    fn resolve_lost_write(
        &self,
        wire: &mut Wire<'_>,
        found: SecretState,
        envelope: &str,
        cas: u64,
        failure: CallFailure,
    ) -> Result<Version, CallFailure> {
        match found {
            SecretState::Live(secret) if secret.envelope.as_deref() == Some(envelope) => {
                return Ok(secret.version);
            }
            SecretState::Live(secret) if self.soft && Some(secret.version.number) == cas.checked_add(1) => {
                wire.mark_not_written();
            }
            _ => {}
        }
        Err(failure)
    }

    /// Recovers the latest version.
    pub(super) async fn undelete(&self, wire: &mut Wire<'_>, name: &str) -> Result<(), CallFailure> {
        match self.read_state(wire, name).await? {
            SecretState::Deleted { version } => {
                self.write(wire, |session| async move {
                    self.client.undelete(session.token(), name, version).await
                })
                .await
            }
            _ => Err(StorageError::from(StorageErrorKind::NotFound).into()),
        }
    }

    /// Removes the versions up to the deleted one, but not the name: Vault cannot remove that on
    /// the condition that no other writer has stored a version meanwhile. Neither can it destroy a
    /// version on the condition that it is deleted, so a version that is recovered during the last
    /// call is lost.
    pub(super) async fn destroy(&self, wire: &mut Wire<'_>, name: &str) -> Result<(), CallFailure> {
        let SecretState::Deleted { version } = self.read_state(wire, name).await? else { return Ok(()) };
        let kept = self.read_versions(wire, name).await?;
        // Another process has recovered it meanwhile, or stored a new version.
        if kept.current() == CurrentVersion::Live {
            return Ok(());
        }
        let numbers: Vec<_> = kept.versions.into_keys().filter(|number| *number <= version).collect();
        let numbers = &numbers;
        self.write(wire, |session| async move {
            self.client.destroy(session.token(), name, numbers.clone()).await
        })
        .await
    }
}

/// Returns the envelope as text. Fails if it is too large.
pub(super) fn encode(
    file: &CredentialFile,
    description: &Description,
    path: PathRef<'_>,
) -> StorageResult<String> {
    let envelope = file.encode_text()?;
    limits::check_payload_len(description, path, kept_len(&envelope))?;
    Ok(envelope)
}

/// Returns the size of the secret as Vault stores it, in bytes: `{"envelope":".."}` in the JSON of
/// Go, which escapes more characters than other encoders.
fn kept_len(envelope: &str) -> usize {
    const AROUND: usize = r#"{"envelope":""}"#.len();
    let escaped = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    };
    envelope.chars().map(escaped).fold(AROUND, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_equals_that_of_go_json() {
        // json.Marshal(map[string]string{"envelope": "a\"\\<\n\x01\u2028é"}) of Go 1.26
        let kept = r#"{"envelope":"a\"\\\u003c\n\u0001\u2028é"}"#;
        assert_eq!(kept_len("a\"\\<\n\u{1}\u{2028}é"), kept.len());
        assert_eq!(kept_len(""), 15);
    }
}
