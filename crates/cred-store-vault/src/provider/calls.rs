//! Requests to Vault, each with a token. One that is refused for its token is made once more, with
//! another.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use cred_core::StorageResult;
use cred_provider_kit::Wire;

use super::Vault;
use crate::auth::Session;
use crate::error::{Failure, Meaning};

/// Requests in flight of one list.
const AT_ONCE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

impl Vault {
    /// Makes a request that changes nothing.
    pub(super) async fn read<T, F, Fut>(&self, wire: &mut Wire<'_>, ask: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let session = self.session(wire).await?;
        match wire.read(|_| ask(Arc::clone(&session))).await {
            Err(failure) if self.replaces_token(&failure, &session) => {
                let session = self.session(wire).await?;
                wire.read(|_| ask(Arc::clone(&session))).await
            }
            answer => answer,
        }
    }

    /// Makes a request that changes something, and that may be sent twice.
    pub(super) async fn write<T, F, Fut>(&self, wire: &mut Wire<'_>, ask: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let session = self.session(wire).await?;
        match wire.write(|_| ask(Arc::clone(&session))).await {
            Err(failure) if self.replaces_token(&failure, &session) => {
                let session = self.session(wire).await?;
                wire.write(|_| ask(Arc::clone(&session))).await
            }
            answer => answer,
        }
    }

    /// Makes a request that changes nothing for each item, some at once. One failure fails the
    /// whole.
    pub(super) async fn read_all<'i, I, T, F, Fut>(
        &self,
        wire: &mut Wire<'_>,
        items: &'i [I],
        ask: F,
    ) -> Result<Vec<T>, Failure>
    where
        I: Sync,
        T: Send,
        F: Fn(Arc<Session>, &'i I) -> Fut + Sync,
        Fut: Future<Output = Result<T, Failure>> + Send,
    {
        let mut answers = Vec::with_capacity(items.len());
        // A long list may take longer than a token lives: each group has the current one.
        for group in items.chunks(AT_ONCE.get()) {
            let session = self.session(wire).await?;
            answers.extend(
                match wire.read_all(group, AT_ONCE, |item| ask(Arc::clone(&session), item)).await {
                    Err(failure) if self.replaces_token(&failure, &session) => {
                        let session = self.session(wire).await?;
                        wire.read_all(group, AT_ONCE, |item| ask(Arc::clone(&session), item)).await?
                    }
                    answer => answer?,
                },
            );
        }
        Ok(answers)
    }

    /// A token. A login is a wire call of its own: where it fails, no write was sent that could be
    /// in doubt.
    async fn session(&self, wire: &mut Wire<'_>) -> StorageResult<Arc<Session>> {
        match self.auth.current() {
            Some(session) => Ok(session),
            None => wire.read(|_| self.auth.session()).await,
        }
    }

    /// Whether Vault refused the token, and another one can be had.
    fn replaces_token(&self, failure: &Failure, session: &Session) -> bool {
        failure.meaning == Meaning::TokenInvalid && self.auth.give_up(session)
    }
}
