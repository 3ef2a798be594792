//! Every method and every ability of a provider, forwarded once for all wrappers.

/// Implements the storage trait and its abilities for a type that has a `description`, and three methods of its own:
/// `inner()`, the provider inside; `pass(operation, target, call)`, through which each operation goes; and `pass_many`.
macro_rules! forward {
    ($wrapper:ty $(, $parameter:ident: $bound:path)?) => {
        const _: () = {
            use std::sync::Arc;

            use cred_core::{
                CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
                CredentialPath, Description, EncryptedData, Operation, Revision, SoftDelete, StorageError,
                StorageMetrics, StorageProvider, Stored, async_trait,
            };

            #[async_trait]
            #[deny(clippy::missing_trait_methods)]
            impl $(<$parameter: $bound>)? StorageProvider for $wrapper {
                fn describe(&self) -> &Description {
                    &self.description
                }

                async fn store(
                    &self,
                    id: &CredentialId,
                    data: EncryptedData,
                    metadata: CredentialMetadata,
                    ctx: &CredentialContext,
                ) -> Result<(), StorageError> {
                    let inner = self.inner();
                    self.pass(Operation::Store, ctx.path(id), inner.store(id, data, metadata, ctx)).await
                }

                async fn retrieve(
                    &self,
                    id: &CredentialId,
                    ctx: &CredentialContext,
                ) -> Result<Stored, StorageError> {
                    let inner = self.inner();
                    self.pass(Operation::Retrieve, ctx.path(id), inner.retrieve(id, ctx)).await
                }

                async fn delete(
                    &self,
                    id: &CredentialId,
                    ctx: &CredentialContext,
                ) -> Result<(), StorageError> {
                    let inner = self.inner();
                    self.pass(Operation::Delete, ctx.path(id), inner.delete(id, ctx)).await
                }

                async fn exists(
                    &self,
                    id: &CredentialId,
                    ctx: &CredentialContext,
                ) -> Result<bool, StorageError> {
                    let inner = self.inner();
                    self.pass(Operation::Exists, ctx.path(id), inner.exists(id, ctx)).await
                }

                async fn list(
                    &self,
                    filter: Option<&CredentialFilter>,
                    ctx: &CredentialContext,
                ) -> Result<Vec<CredentialId>, StorageError> {
                    let inner = self.inner();
                    self.pass(Operation::List, ctx, inner.list(filter, ctx)).await
                }

                async fn list_tree(
                    &self,
                    filter: Option<&CredentialFilter>,
                    ctx: &CredentialContext,
                ) -> Result<Vec<CredentialPath>, StorageError> {
                    let inner = self.inner();
                    self.pass(Operation::ListTree, ctx, inner.list_tree(filter, ctx)).await
                }

                async fn retrieve_many(
                    &self,
                    ids: &[CredentialId],
                    ctx: &CredentialContext,
                ) -> Vec<Result<Stored, StorageError>> {
                    self.pass_many(ids, ctx).await
                }

                async fn shutdown(&self) {
                    self.inner().shutdown().await;
                }

                fn metrics(&self) -> Option<Arc<StorageMetrics>> {
                    self.inner().metrics()
                }

                fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
                    self.inner().compare_and_set().map(|_| self as _)
                }

                fn soft_delete(&self) -> Option<&dyn SoftDelete> {
                    self.inner().soft_delete().map(|_| self as _)
                }
            }

            #[async_trait]
            #[deny(clippy::missing_trait_methods)]
            impl $(<$parameter: $bound>)? CompareAndSet for $wrapper {
                async fn retrieve_with_revision(
                    &self,
                    id: &CredentialId,
                    ctx: &CredentialContext,
                ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
                    let inner = self.inner();
                    let call = async {
                        $crate::layers::forward::compare_and_set(inner.as_ref())?.retrieve_with_revision(id, ctx).await
                    };
                    self.pass(Operation::RetrieveWithRevision, ctx.path(id), call).await
                }

                async fn store_if(
                    &self,
                    id: &CredentialId,
                    data: EncryptedData,
                    metadata: CredentialMetadata,
                    expected: Option<&Revision>,
                    ctx: &CredentialContext,
                ) -> Result<Revision, StorageError> {
                    let inner = self.inner();
                    let call = async {
                        let ability = $crate::layers::forward::compare_and_set(inner.as_ref())?;
                        ability.store_if(id, data, metadata, expected, ctx).await
                    };
                    self.pass(Operation::StoreIf, ctx.path(id), call).await
                }
            }

            #[async_trait]
            #[deny(clippy::missing_trait_methods)]
            impl $(<$parameter: $bound>)? SoftDelete for $wrapper {
                async fn recover(
                    &self,
                    id: &CredentialId,
                    ctx: &CredentialContext,
                ) -> Result<(), StorageError> {
                    let inner = self.inner();
                    let call = async { $crate::layers::forward::soft_delete(inner.as_ref())?.recover(id, ctx).await };
                    self.pass(Operation::Recover, ctx.path(id), call).await
                }

                async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
                    let inner = self.inner();
                    let call = async { $crate::layers::forward::soft_delete(inner.as_ref())?.purge(id, ctx).await };
                    self.pass(Operation::Purge, ctx.path(id), call).await
                }

                async fn list_deleted(
                    &self,
                    ctx: &CredentialContext,
                ) -> Result<Vec<CredentialId>, StorageError> {
                    let inner = self.inner();
                    let call = async { $crate::layers::forward::soft_delete(inner.as_ref())?.list_deleted(ctx).await };
                    self.pass(Operation::ListDeleted, ctx, call).await
                }
            }
        };
    };
}

pub(super) use forward;

use cred_core::{CompareAndSet, SoftDelete, StorageError, StorageErrorKind, StorageProvider};

/// The ability of the provider inside. Who hands out the wrapper's own has seen that it is there; a provider whose answer
/// changes breaks the contract, and is told so rather than trusted.
pub(super) fn compare_and_set(inner: &dyn StorageProvider) -> Result<&dyn CompareAndSet, StorageError> {
    inner.compare_and_set().ok_or_else(|| gone("compare-and-set"))
}

/// As [`compare_and_set`].
pub(super) fn soft_delete(inner: &dyn StorageProvider) -> Result<&dyn SoftDelete, StorageError> {
    inner.soft_delete().ok_or_else(|| gone("recovery"))
}

fn gone(ability: &str) -> StorageError {
    let what = format!("the provider inside offered {ability} and does so no more; correct the provider");
    StorageErrorKind::Unsupported { what: what.into() }.into()
}
