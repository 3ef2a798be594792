//! Copies credentials from one provider to another. Every copy is read back, and no existing
//! credential is lost.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialPath, KeyId, Revision, Sealed, Sealer as _, StorageError, StorageErrorKind,
    StorageProvider,
};
use cred_provider_kit::{CredentialFile, limits};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep};

use crate::compare::{self, Rings};
use crate::failure::{Exit, Failure};
use crate::output::Progress;

/// Copies credentials, several concurrently: each copy is independent of the others.
pub(super) struct Copier {
    pub(super) from: Arc<dyn StorageProvider>,
    pub(super) to: Arc<dyn StorageProvider>,
    /// The rings to reseal with; `None` copies the sealed bytes unchanged.
    pub(super) rings: Option<Rings>,
    pub(super) replace: bool,
    pub(super) dry_run: bool,
}

/// The outcome for one credential.
pub(super) enum Outcome {
    /// Copied: the key of the copy, and why the existing credential could not be read, if it was
    /// corrupted.
    Copied(KeyId, Option<String>),
    /// The target already had an equal credential, sealed under this key.
    Unchanged(KeyId),
    Differs(Vec<&'static str>),
    /// Deleted since it was listed.
    Gone,
    Failed(Failure),
}

/// The state of the target before the copy.
#[allow(clippy::large_enum_variant, reason = "a few of them live at once, and nearly all are the large one")]
enum TargetState {
    /// The existing credential, if any, and its revision for compare-and-set.
    Known(Option<Sealed>, Option<Revision>),
    /// A credential that cannot be read and is to be replaced; the reason.
    Corrupted(String),
}

impl Copier {
    pub(super) async fn all(
        &self,
        ctx: &CredentialContext,
        progress: &Progress,
    ) -> Result<Vec<(CredentialPath, Outcome)>, Failure> {
        let mut paths = self.from.list_tree(None, ctx).await?;
        paths.sort_unstable();
        progress.set_total(paths.len());
        // A target that is down is reported once, not for each credential. It is down if even
        // `exists` fails for the first one; otherwise only that credential is broken.
        if let Some(first) = paths.first()
            && let Err(error) = compare::retrieve(&*self.to, first).await
            && self.to.exists(&first.id, &first.scope.clone().into()).await.is_err()
        {
            return Err(error.into());
        }
        let copy = |path: CredentialPath| async move {
            let outcome = self.copy(&path).await.unwrap_or_else(Outcome::Failed);
            progress.step();
            (path, outcome)
        };
        Ok(futures_util::stream::iter(paths.into_iter().map(copy))
            .buffered(compare::CONCURRENCY)
            .collect()
            .await)
    }

    async fn copy(&self, path: &CredentialPath) -> Result<Outcome, Failure> {
        let Some(original) = compare::retrieve(&*self.from, path).await? else { return Ok(Outcome::Gone) };
        let target = self.target_state(path).await?;
        if let TargetState::Known(Some(existing), _) = &target {
            let parts = compare::differences(path, &original, existing, self.rings.as_ref()).await?;
            if parts.is_empty() {
                return Ok(Outcome::Unchanged(existing.data.key_id.clone()));
            }
            // Also if the bytes are equal but the target ring cannot open them: the target may be
            // the same store under another name, whose readers would lose the credential.
            if !self.replace {
                return Ok(Outcome::Differs(parts));
            }
        }
        let copy = self.sealed(path, original).await?;
        let key = copy.data.key_id.clone();
        self.check(path, &copy)?;
        let broken = match &target {
            TargetState::Corrupted(reason) => Some(reason.clone()),
            TargetState::Known(..) => None,
        };
        if self.dry_run {
            return Ok(Outcome::Copied(key, broken));
        }
        // The copy that is read back decides, not the result of the write, which may have been lost
        // on the way.
        let written = self.write(path, copy.clone(), &target).await;
        match (self.verified(path, &copy).await, written) {
            (Ok(true), _) => Ok(Outcome::Copied(key, broken)),
            (_, Err(error)) => Err(error.into()),
            (Err(error), Ok(())) => Err(error.into()),
            (Ok(false), Ok(())) => Err(Failure::new(
                Exit::InDoubt,
                format!(
                    "the credential `{path}` was written to the target, but reading it back returned something else"
                ),
            )
            .hint("check whether another process writes to the target, then run it again")),
        }
    }

    async fn target_state(&self, path: &CredentialPath) -> Result<TargetState, StorageError> {
        let found = match self.to.compare_and_set() {
            None => {
                compare::retrieve(&*self.to, path).await.map(|existing| TargetState::Known(existing, None))
            }
            Some(conditional) => {
                let read = conditional.retrieve_versioned(&path.id, &path.scope.clone().into()).await;
                read.map(|found| TargetState::Known(Some(found.value), Some(found.revision)))
            }
        };
        match found {
            Err(error) if error.is_not_found() => Ok(TargetState::Known(None, None)),
            Err(error) => match error.kind() {
                StorageErrorKind::Corrupted { reason } if self.replace => {
                    Ok(TargetState::Corrupted(reason.clone().into_owned()))
                }
                _ => Err(error),
            },
            found => found,
        }
    }

    /// The copy to write: the same bytes, or the same contents sealed under the target's key.
    async fn sealed(&self, path: &CredentialPath, original: Sealed) -> Result<Sealed, Failure> {
        let Some(rings) = &self.rings else { return Ok(original) };
        let opened = compare::open(&rings.from, path, &original).await?;
        let data = rings.to.seal(path.as_path_ref(), &opened.metadata, &opened.secret).await?;
        Ok(Sealed::new(data, opened.metadata))
    }

    /// Checks the limits that the target describes, so that a dry run reports them too.
    fn check(&self, path: &CredentialPath, copy: &Sealed) -> Result<(), Failure> {
        let payload = CredentialFile::new(copy.data.clone(), copy.metadata.clone()).encode()?;
        let description = self.to.describe();
        limits::check(&description.limits, &payload, &copy.metadata).map_err(|error| {
            error.at(description.name.clone(), cred_core::Operation::Store, path.clone()).into()
        })
    }

    async fn write(
        &self,
        path: &CredentialPath,
        Sealed { data, metadata }: Sealed,
        target: &TargetState,
    ) -> Result<(), StorageError> {
        let ctx: CredentialContext = path.scope.clone().into();
        match (self.to.compare_and_set(), target) {
            (Some(conditional), TargetState::Known(_, expected)) => {
                conditional.store_if(&path.id, data, metadata, expected.as_ref(), &ctx).await.map(|_| ())
            }
            // A corrupted credential has no revision.
            (None, _) | (_, TargetState::Corrupted(_)) => self.to.store(&path.id, data, metadata, &ctx).await,
        }
    }

    /// Reads the copy back, until the target guarantees that the write is visible, and returns
    /// whether it is equal.
    async fn verified(&self, path: &CredentialPath, copy: &Sealed) -> Result<bool, StorageError> {
        const POLL_INTERVAL: Duration = Duration::from_millis(250);
        let visible_at = Instant::now() + self.to.describe().consistency.point();
        loop {
            let found = compare::retrieve(&*self.to, path).await;
            match found {
                Ok(Some(found)) if found == *copy => return Ok(true),
                found if Instant::now() >= visible_at => return found.map(|_| false),
                _ => sleep(POLL_INTERVAL).await,
            }
        }
    }
}
