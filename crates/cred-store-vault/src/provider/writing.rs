//! Writes, with and without a condition, and what follows where their answer is lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cred_core::{Description, PathRef, Revision, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{CredentialFile, Wire, limits};

use super::{Vault, revision};
use crate::client::{Found, Version};
use crate::error::{Failure, Meaning};
use crate::versions::Current;

/// How often a conditional creation looks anew at what changes under it.
const LOOKS: u32 = 8;

/// The longest pause before a plain write tries again where another one was quicker.
const LONGEST_PAUSE_MS: u64 = 20;

impl Vault {
    async fn write_version(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
        cas: Option<u64>,
    ) -> Result<Version, Failure> {
        self.write(
            wire,
            |session| async move { self.client.write(session.token(), name, envelope, cas).await },
        )
        .await
    }

    /// Writes whatever is there: one call, or where conditions are required, a look and a write
    /// that repeat until no other writer comes between.
    pub(super) async fn store(&self, wire: &mut Wire<'_>, name: &str, envelope: &str) -> Result<(), Failure> {
        if !self.needs_cas.load(Ordering::Relaxed) {
            match self.write_version(wire, name, envelope, None).await {
                Err(failure) if failure.meaning == Meaning::CasRequired => {
                    self.needs_cas.store(true, Ordering::Relaxed);
                }
                answer => return answer.map(drop),
            }
        }
        loop {
            let cas = match self.found(wire, name).await? {
                Found::Live(secret) if wire.in_doubt() && secret.envelope.as_deref() == Some(envelope) => {
                    return Ok(());
                }
                Found::Live(secret) => secret.version.number,
                Found::Deleted { version } | Found::Destroyed { version } => version,
                Found::Absent => 0,
            };
            match self.write_version(wire, name, envelope, Some(cas)).await {
                Err(failure) if failure.meaning == Meaning::CasMismatch => {
                    let pause = Duration::from_millis(fastrand::u64(1..=LONGEST_PAUSE_MS));
                    wire.pause(pause).await?;
                }
                answer => return answer.map(drop),
            }
        }
    }

    /// Writes over exactly the expected revision.
    pub(super) async fn replace(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
        expected: &Revision,
    ) -> Result<Version, Failure> {
        // The number alone would let a write pass that expects an earlier generation of the same
        // name.
        let number = match self.found(wire, name).await? {
            Found::Live(secret) if revision(&secret.version) == *expected => secret.version.number,
            Found::Live(_) => return Err(StorageError::conflict("another revision is stored").into()),
            _ => return Err(StorageError::conflict("nothing is stored there any more").into()),
        };
        match self.write_version(wire, name, envelope, Some(number)).await {
            Err(failure) if failure.meaning == Meaning::CasMismatch && wire.in_doubt() => {
                let found = self.found(wire, name).await?;
                self.unless_ours(wire, found, envelope, number, failure)
            }
            answer => answer,
        }
    }

    /// Writes only where nothing is stored; what is deleted counts as nothing.
    pub(super) async fn create(
        &self,
        wire: &mut Wire<'_>,
        name: &str,
        envelope: &str,
    ) -> Result<Version, Failure> {
        let mut cas = 0;
        for _ in 0..LOOKS {
            let failure = match self.write_version(wire, name, envelope, Some(cas)).await {
                Err(failure) if failure.meaning == Meaning::CasMismatch => failure,
                answer => return answer,
            };
            cas = match self.found(wire, name).await? {
                // What was deleted may be what an attempt of ours has written: writing it again
                // would bring it back.
                found if wire.in_doubt() => {
                    return self.unless_ours(wire, found, envelope, cas, failure);
                }
                Found::Live(_) => return Err(failure),
                Found::Deleted { version } | Found::Destroyed { version } => version,
                Found::Absent => 0,
            };
        }
        Err(StorageError::conflict("it is created and deleted by others all the time").into())
    }

    /// A write over version `cas` met another one, after an attempt of it that may have landed:
    /// what was found may be its own. Doubt ends only where the version that it would have made is
    /// there and somebody else's, and numbers never begin anew. A later version may stand over one
    /// that was ours; without soft deletion the number may yet come back to `cas`.
    fn unless_ours(
        &self,
        wire: &mut Wire<'_>,
        found: Found,
        envelope: &str,
        cas: u64,
        failure: Failure,
    ) -> Result<Version, Failure> {
        match found {
            Found::Live(secret) if secret.envelope.as_deref() == Some(envelope) => return Ok(secret.version),
            Found::Live(secret) if self.soft && Some(secret.version.number) == cas.checked_add(1) => {
                wire.settle();
            }
            _ => {}
        }
        Err(failure)
    }

    /// Brings the latest version back.
    pub(super) async fn undelete(&self, wire: &mut Wire<'_>, name: &str) -> Result<(), Failure> {
        match self.found(wire, name).await? {
            Found::Deleted { version } => {
                self.write(wire, |session| async move {
                    self.client.undelete(session.token(), name, version).await
                })
                .await
            }
            _ => Err(StorageError::from(StorageErrorKind::NotFound).into()),
        }
    }

    /// Removes the versions up to the deleted one. Not the whole name: Vault cannot do that only if
    /// nobody has stored anew meanwhile. Nor does it destroy a version only if that is deleted: one
    /// that is recovered within the last call would go.
    pub(super) async fn destroy(&self, wire: &mut Wire<'_>, name: &str) -> Result<(), Failure> {
        let Found::Deleted { version } = self.found(wire, name).await? else { return Ok(()) };
        let kept = self.kept(wire, name).await?;
        // Somebody has recovered it meanwhile, or stored anew.
        if kept.current() == Current::Live {
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

/// The envelope as text, if it fits.
pub(super) fn encode(
    file: &CredentialFile,
    description: &Description,
    path: PathRef<'_>,
) -> StorageResult<String> {
    let envelope = file.encode_text()?;
    limits::check_payload_len(description, path, kept_len(&envelope))?;
    Ok(envelope)
}

/// Bytes of the secret as Vault keeps it: `{"envelope":".."}` in the JSON of Go, which escapes more
/// than others.
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
    fn the_length_is_that_of_go() {
        // json.Marshal(map[string]string{"envelope": "a\"\\<\n\x01\u2028é"}) of Go 1.26
        let kept = r#"{"envelope":"a\"\\\u003c\n\u0001\u2028é"}"#;
        assert_eq!(kept_len("a\"\\<\n\u{1}\u{2028}é"), kept.len());
        assert_eq!(kept_len(""), 15);
    }
}
