//! Reads of many credentials by one call of the provider. They are opened concurrently.

use cred_core::{
    Credential, CredentialContext, CredentialId, Operation, PathRef, Sealed, StorageError, Target,
};
use futures_util::future::join_all;

use crate::ManagerError;
use crate::shared::Shared;

/// A stored credential and the result of opening it.
pub(crate) struct Fetched {
    pub(crate) stored: Sealed,
    pub(crate) opened: Result<Credential, ManagerError>,
}

/// As [`Fetch`], before it is opened.
pub(crate) type FetchSealed = Result<Option<Sealed>, ManagerError>;

/// The result of one read. `None`: nothing is stored. An error: the read failed.
pub(crate) type Fetch = Result<Option<Fetched>, ManagerError>;

impl Shared {
    /// Reads many credentials by one call of the provider and opens them; one result for each id.
    pub(crate) async fn fetch_many(&self, ids: &[CredentialId], ctx: &CredentialContext) -> Vec<Fetch> {
        let sealed = self.fetch_many_sealed(ids, ctx).await;
        // Concurrently: a credential that is slow to open does not delay the others.
        let open = ids.iter().zip(sealed).map(|(id, sealed)| self.open_fetched(ctx.path(id), sealed));
        join_all(open).await
    }

    /// Opens the result of a read.
    pub(crate) async fn open_fetched(&self, path: PathRef<'_>, sealed: FetchSealed) -> Fetch {
        let Some(stored) = sealed? else { return Ok(None) };
        let opened = self.sealing.open(path, &stored).await;
        Ok(Some(Fetched { stored, opened }))
    }

    /// Reads many credentials by one call of the provider; one result for each id.
    pub(crate) async fn fetch_many_sealed(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<FetchSealed> {
        let target = || Target::Scope(ctx.scope_id.clone());
        let call = async { Ok(self.provider.retrieve_many(ids, ctx).await) };
        let answers = match self.read(Operation::RetrieveMany, target, call).await {
            Ok(answers) if answers.len() == ids.len() => answers,
            Ok(_) => {
                // No answer can be used: its id is unknown.
                let broken =
                    StorageError::other("the provider did not return exactly one answer for each id");
                let error = ManagerError::from(self.at(broken, Operation::RetrieveMany, target()));
                return ids.iter().map(|_| Err(error.clone())).collect();
            }
            Err(error) => return ids.iter().map(|_| Err(error.clone().into())).collect(),
        };
        let located = |(id, answer): (&CredentialId, Result<Sealed, StorageError>)| match answer {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(self.at(error, Operation::RetrieveMany, ctx.path(id).to_path()).into()),
        };
        ids.iter().zip(answers).map(located).collect()
    }
}
