//! Copying from one provider to another: what is written is read back, and what is there is not
//! lost.

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

/// Copies, one credential at a time or several at once: they have nothing to do with each other.
pub(super) struct Copier {
    pub(super) from: Arc<dyn StorageProvider>,
    pub(super) to: Arc<dyn StorageProvider>,
    /// Open the one side and seal for the other; `None`: the sealed bytes go as they are.
    pub(super) rings: Option<Rings>,
    pub(super) replace: bool,
    pub(super) dry_run: bool,
}

/// What became of one credential.
pub(super) enum Outcome {
    /// With the key that the copy is sealed under, and what was wrong with what was there, if it
    /// could not be read.
    Copied(KeyId, Option<String>),
    There(KeyId),
    Differs(Vec<&'static str>),
    /// Deleted since it was listed.
    Gone,
    Failed(Failure),
}

/// What the other side has.
#[allow(clippy::large_enum_variant, reason = "a few of them live at once, and nearly all are the large one")]
enum There {
    /// Something or nothing, and how to replace exactly that.
    Known(Option<Sealed>, Option<Revision>),
    /// What cannot be read, and is to be replaced; with the reason.
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
        progress.of(paths.len());
        // What is wrong with the other side as a whole is told once, not for each credential: then
        // it cannot even say whether the first one is there. Where it can, that one alone is
        // broken.
        if let Some(first) = paths.first()
            && let Err(error) = compare::stored(&*self.to, first).await
            && self.to.exists(&first.id, &first.scope.clone().into()).await.is_err()
        {
            return Err(error.into());
        }
        let copy = |path: CredentialPath| async move {
            let outcome = self.copy(&path).await.unwrap_or_else(Outcome::Failed);
            progress.step();
            (path, outcome)
        };
        Ok(futures_util::stream::iter(paths.into_iter().map(copy)).buffered(compare::AT_ONCE).collect().await)
    }

    async fn copy(&self, path: &CredentialPath) -> Result<Outcome, Failure> {
        let Some(original) = compare::stored(&*self.from, path).await? else { return Ok(Outcome::Gone) };
        let there = self.there(path).await?;
        if let There::Known(Some(there), _) = &there {
            let parts = compare::differences(path, &original, there, self.rings.as_ref()).await?;
            if parts.is_empty() {
                return Ok(Outcome::There(there.data.key_id.clone()));
            }
            // Also where the bytes are the same and do not open there: it may be the same store
            // under another name, whose readers would lose it.
            if !self.replace {
                return Ok(Outcome::Differs(parts));
            }
        }
        let copy = self.sealed(path, original).await?;
        let key = copy.data.key_id.clone();
        self.check(path, &copy)?;
        let broken = match &there {
            There::Corrupted(reason) => Some(reason.clone()),
            There::Known(..) => None,
        };
        if self.dry_run {
            return Ok(Outcome::Copied(key, broken));
        }
        // What is read back decides, whatever the write was answered: an answer may be lost on the
        // way.
        let written = self.write(path, copy.clone(), &there).await;
        match (self.verified(path, &copy).await, written) {
            (Ok(true), _) => Ok(Outcome::Copied(key, broken)),
            (_, Err(error)) => Err(error.into()),
            (Err(error), Ok(())) => Err(error.into()),
            (Ok(false), Ok(())) => Err(Failure::new(
                Exit::InDoubt,
                format!(
                    "`{path}` was written, but what is read back is not what was written; does somebody else write there?"
                ),
            )),
        }
    }

    async fn there(&self, path: &CredentialPath) -> Result<There, StorageError> {
        let found = match self.to.compare_and_set() {
            None => compare::stored(&*self.to, path).await.map(|there| There::Known(there, None)),
            Some(conditional) => {
                let read = conditional.retrieve_versioned(&path.id, &path.scope.clone().into()).await;
                read.map(|found| There::Known(Some(found.value), Some(found.revision)))
            }
        };
        match found {
            Err(error) if error.is_not_found() => Ok(There::Known(None, None)),
            Err(error) => match error.kind() {
                StorageErrorKind::Corrupted { reason } if self.replace => {
                    Ok(There::Corrupted(reason.clone().into_owned()))
                }
                _ => Err(error),
            },
            found => found,
        }
    }

    /// What is to be written: the same bytes, or the same contents under the other side's key.
    async fn sealed(&self, path: &CredentialPath, original: Sealed) -> Result<Sealed, Failure> {
        let Some(rings) = &self.rings else { return Ok(original) };
        let opened = compare::open(&rings.from, path, &original).await?;
        let data = rings.to.seal(path.as_path_ref(), &opened.metadata, &opened.secret).await?;
        Ok(Sealed::new(data, opened.metadata))
    }

    /// Whether the other side can hold it, as far as its description tells, so that a dry run tells
    /// as well.
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
        there: &There,
    ) -> Result<(), StorageError> {
        let ctx: CredentialContext = path.scope.clone().into();
        match (self.to.compare_and_set(), there) {
            (Some(conditional), There::Known(_, expected)) => {
                conditional.store_if(&path.id, data, metadata, expected.as_ref(), &ctx).await.map(|_| ())
            }
            // What is corrupted has no revision.
            (None, _) | (_, There::Corrupted(_)) => self.to.store(&path.id, data, metadata, &ctx).await,
        }
    }

    /// Whether what is read back is what was written, as soon as the other side promises to show
    /// it.
    async fn verified(&self, path: &CredentialPath, copy: &Sealed) -> Result<bool, StorageError> {
        const PAUSE: Duration = Duration::from_millis(250);
        let shown = Instant::now() + self.to.describe().consistency.point();
        loop {
            let found = compare::stored(&*self.to, path).await;
            match found {
                Ok(Some(found)) if found == *copy => return Ok(true),
                found if Instant::now() >= shown => return found.map(|_| false),
                _ => sleep(PAUSE).await,
            }
        }
    }
}
