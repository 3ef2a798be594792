//! Requests to Vault with a token. A request whose token is refused is repeated once, with another
//! token.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use cred_core::StorageResult;
use cred_provider_kit::Wire;

use super::Vault;
use crate::auth::Session;
use crate::error::{CallFailure, FailureCause};

/// The maximum number of concurrent requests of one list.
const MAX_CONCURRENT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

impl Vault {
    /// Sends a request that changes nothing.
    pub(super) async fn read<T, F, Fut>(&self, wire: &mut Wire<'_>, request: F) -> Result<T, CallFailure>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, CallFailure>>,
    {
        let session = self.session(wire).await?;
        match wire.read(|_| request(Arc::clone(&session))).await {
            Err(failure) if self.can_replace_token(&failure, &session) => {
                let session = self.session(wire).await?;
                wire.read(|_| request(Arc::clone(&session))).await
            }
            result => result,
        }
    }

    /// Sends a request that changes something and may be sent twice.
    pub(super) async fn write<T, F, Fut>(&self, wire: &mut Wire<'_>, request: F) -> Result<T, CallFailure>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, CallFailure>>,
    {
        let session = self.session(wire).await?;
        match wire.write(|_| request(Arc::clone(&session))).await {
            Err(failure) if self.can_replace_token(&failure, &session) => {
                let session = self.session(wire).await?;
                wire.write(|_| request(Arc::clone(&session))).await
            }
            result => result,
        }
    }

    /// Sends a request that changes nothing for each item, several at the same time. One failure
    /// fails the whole.
    pub(super) async fn read_all<'i, I, T, F, Fut>(
        &self,
        wire: &mut Wire<'_>,
        items: &'i [I],
        request: F,
    ) -> Result<Vec<T>, CallFailure>
    where
        I: Sync,
        T: Send,
        F: Fn(Arc<Session>, &'i I) -> Fut + Sync,
        Fut: Future<Output = Result<T, CallFailure>> + Send,
    {
        let mut responses = Vec::with_capacity(items.len());
        // A long list may take longer than a token is valid, so each group uses the current one.
        for group in items.chunks(MAX_CONCURRENT.get()) {
            let session = self.session(wire).await?;
            responses.extend(
                match wire.read_all(group, MAX_CONCURRENT, |item| request(Arc::clone(&session), item)).await {
                    Err(failure) if self.can_replace_token(&failure, &session) => {
                        let session = self.session(wire).await?;
                        wire.read_all(group, MAX_CONCURRENT, |item| request(Arc::clone(&session), item))
                            .await?
                    }
                    result => result?,
                },
            );
        }
        Ok(responses)
    }

    /// Returns a token. A login is a separate wire call: if it fails, no write was sent, so none
    /// can have an unknown outcome.
    async fn session(&self, wire: &mut Wire<'_>) -> StorageResult<Arc<Session>> {
        match self.auth.current() {
            Some(session) => Ok(session),
            None => wire.read(|_| self.auth.session()).await,
        }
    }

    /// Whether Vault refused the token, and another one is available.
    fn can_replace_token(&self, failure: &CallFailure, session: &Session) -> bool {
        failure.cause == FailureCause::TokenInvalid && self.auth.discard(session)
    }
}
