//! Who asks: one token for all, and another one where the vault takes it no longer.
//!
//! The SDK's credentials keep a token until it ends, and give the same again after a vault has
//! refused it; failures they give to nobody but who asked. This one sits between: it throws away
//! the token that was refused, and shares failures.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::time::{Duration as Span, OffsetDateTime};
use cred_core::{StorageError, StorageResult, async_trait};
use tokio::time::Instant;

use crate::client::{Identity, Vault};
use crate::error::{authentication, failed};

/// For how long a refusal of the token endpoint is not asked for again: it would refuse a thousand
/// others as well.
const REFUSAL_HOLDS: Duration = Duration::from_secs(1);

/// A token is replaced so long before it ends, as the SDK does, or when a third of its life is
/// left.
const BEFORE_ITS_END: Span = Span::minutes(5);

/// The token of a provider.
pub(crate) struct Tokens {
    identity: Identity,
    vault: Vault,
    /// Held while a token is asked for, so that one request serves all who wait. Who leaves
    /// meanwhile leaves it to the next.
    asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    failed: Option<Failed>,
}

struct Held {
    token: AccessToken,
    /// When another one is asked for.
    due: OffsetDateTime,
}

impl Held {
    fn new(token: AccessToken) -> Self {
        let left = token.expires_on - OffsetDateTime::now_utc();
        let due = token.expires_on - BEFORE_ITS_END.min(left / 3);
        Self { token, due }
    }
}

/// A request that gave no token.
#[derive(Clone)]
struct Failed {
    /// Whoever began to wait before then is answered by it.
    ended: Instant,
    holds_until: Instant,
    error: StorageError,
}

/// When a call began, given to the SDK to be brought back with the request for a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun(pub(crate) Instant);

impl Tokens {
    pub(crate) fn new(identity: Identity, vault: Vault) -> Self {
        Self { identity, vault, asking: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    /// The vault has refused the token of this header. One that was replaced meanwhile stays.
    pub(crate) fn refused(&self, bearer: &str) {
        let mut state = self.state();
        let is_current = |held: &Held| {
            bearer.strip_prefix("Bearer ").is_some_and(|refused| refused == held.token.token.secret())
        };
        if state.held.as_ref().is_some_and(is_current) {
            state.held = None;
        }
    }

    /// The token or the failure that answers whoever began to wait at `begun`.
    fn known(&self, begun: Instant) -> Option<StorageResult<AccessToken>> {
        let state = self.state();
        if let Some(held) = state.held.as_ref().filter(|held| held.due > OffsetDateTime::now_utc()) {
            return Some(Ok(held.token.clone()));
        }
        let answers = |failed: &&Failed| begun <= failed.ended || Instant::now() < failed.holds_until;
        state.failed.as_ref().filter(answers).map(|failed| Err(failed.error.clone()))
    }

    async fn token(&self, scope: &str, begun: Instant) -> StorageResult<AccessToken> {
        if !self.vault.takes(scope) {
            return Err(authentication(
                "the server asks for a token of another service, which is not given to it; is `vault_url` a vault?",
            ));
        }
        if let Some(known) = self.known(begun) {
            return known;
        }
        let _asking = self.asking.lock().await;
        if let Some(known) = self.known(begun) {
            return known;
        }
        let answer = self.ask(scope).await;
        let mut state = self.state();
        match &answer {
            Ok(token) => {
                state.held = Some(Held::new(token.clone()));
                state.failed = None;
            }
            Err(error) => {
                let ended = Instant::now();
                let holds_until = if error.is_transient() { ended } else { ended + REFUSAL_HOLDS };
                state.failed = Some(Failed { ended, holds_until, error: error.clone() });
            }
        }
        answer
    }

    /// Asks for a token. By a credential of its own, since each keeps the token that it gave.
    async fn ask(&self, scope: &str) -> StorageResult<AccessToken> {
        let credential = self.identity.credential().map_err(|error| failed(&error))?;
        let token = credential.get_token(&[scope], None).await.map_err(|error| failed(&error))?;
        // What goes into a header.
        let text = token.token.secret();
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(token),
            false => Err(authentication("the token endpoint gave what is no token")),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let begun = options.and_then(|options| options.method_options.context.value::<Begun>().copied());
        let begun = begun.map_or_else(Instant::now, |Begun(begun)| begun);
        let scope = scopes.first().copied().unwrap_or_default();
        self.token(scope, begun).await.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}

/// Prints no token.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("identity", &self.identity).finish_non_exhaustive()
    }
}
