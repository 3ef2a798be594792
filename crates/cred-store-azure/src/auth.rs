//! A token cache between the client of the SDK and its credentials.
//!
//! The credentials of the SDK cache a token until it expires, and return it again after a vault has
//! refused it. They return a failure only to the caller whose request failed. This cache discards a
//! refused token, and shares failures.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::time::{Duration as Span, OffsetDateTime};
use cred_core::{StorageError, StorageResult, async_trait};
use tokio::time::Instant;

use crate::client::{Identity, Vault};
use crate::error::{authentication, sdk_failure};

/// How long a refusal of the token endpoint is cached, so that a burst of requests does not repeat
/// it.
const REFUSAL_TTL: Duration = Duration::from_secs(1);

/// How long before its expiry a token is replaced: the value of the SDK. A third of the lifetime is
/// used instead if that is less.
const REFRESH_MARGIN: Span = Span::minutes(5);

/// The token of a provider, shared by its clones.
pub(crate) struct TokenCache {
    identity: Identity,
    vault: Vault,
    /// Held during a token request, so that concurrent callers share it. If the caller that holds
    /// it is cancelled, the next one makes the request.
    request_lock: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cached: Option<CachedToken>,
    failure: Option<CachedFailure>,
}

struct CachedToken {
    token: AccessToken,
    /// When it is replaced.
    refresh_at: OffsetDateTime,
}

impl CachedToken {
    fn new(token: AccessToken) -> Self {
        let lifetime = token.expires_on - OffsetDateTime::now_utc();
        let refresh_at = token.expires_on - REFRESH_MARGIN.min(lifetime / 3);
        Self { token, refresh_at }
    }
}

/// A failed token request.
#[derive(Clone)]
struct CachedFailure {
    /// Calls that started until then share the failure.
    ended: Instant,
    /// Later calls also share it until then.
    cached_until: Instant,
    error: StorageError,
}

/// The start of a call, in the context of a request. The SDK passes it on to the token request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallStart(pub(crate) Instant);

impl TokenCache {
    pub(crate) fn new(identity: Identity, vault: Vault) -> Self {
        Self { identity, vault, request_lock: tokio::sync::Mutex::default(), state: Mutex::default() }
    }

    /// Discards the token of an `Authorization` header that the vault has refused, unless it was
    /// replaced in the meantime.
    pub(crate) fn discard(&self, bearer: &str) {
        let mut state = self.state();
        let is_current = |cached: &CachedToken| {
            bearer.strip_prefix("Bearer ").is_some_and(|refused| refused == cached.token.token.secret())
        };
        if state.cached.as_ref().is_some_and(is_current) {
            state.cached = None;
        }
    }

    /// Returns the cached token or failure for a call that started at `call_start`.
    fn cached(&self, call_start: Instant) -> Option<StorageResult<AccessToken>> {
        let state = self.state();
        let is_fresh = |cached: &&CachedToken| cached.refresh_at > OffsetDateTime::now_utc();
        if let Some(cached) = state.cached.as_ref().filter(is_fresh) {
            return Some(Ok(cached.token.clone()));
        }
        let applies =
            |failure: &&CachedFailure| call_start <= failure.ended || Instant::now() < failure.cached_until;
        state.failure.as_ref().filter(applies).map(|failure| Err(failure.error.clone()))
    }

    async fn token(&self, scope: &str, call_start: Instant) -> StorageResult<AccessToken> {
        if !self.vault.may_receive_token(scope) {
            return Err(authentication(
                "the server asks for a token for another service, which it must not receive; check that \
                 `vault_url` is the address of a vault",
            ));
        }
        if let Some(cached) = self.cached(call_start) {
            return cached;
        }
        let _request_lock = self.request_lock.lock().await;
        if let Some(cached) = self.cached(call_start) {
            return cached;
        }
        let result = self.request(scope).await;
        let mut state = self.state();
        match &result {
            Ok(token) => {
                state.cached = Some(CachedToken::new(token.clone()));
                state.failure = None;
            }
            Err(error) => {
                let ended = Instant::now();
                let cached_until = if error.is_transient() { ended } else { ended + REFUSAL_TTL };
                state.failure = Some(CachedFailure { ended, cached_until, error: error.clone() });
            }
        }
        result
    }

    /// Requests a token. Uses a new credential each time, because a credential of the SDK caches
    /// its token.
    async fn request(&self, scope: &str) -> StorageResult<AccessToken> {
        let credential = self.identity.credential().map_err(|error| sdk_failure(&error))?;
        let token = credential.get_token(&[scope], None).await.map_err(|error| sdk_failure(&error))?;
        // The token must be valid in a header.
        let text = token.token.secret();
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(token),
            false => Err(authentication(
                "the token endpoint returned a token that is empty or not printable ASCII",
            )),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenCredential for TokenCache {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let call_start =
            options.and_then(|options| options.method_options.context.value::<CallStart>().copied());
        let call_start = call_start.map_or_else(Instant::now, |CallStart(instant)| instant);
        let scope = scopes.first().copied().unwrap_or_default();
        self.token(scope, call_start)
            .await
            .map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}

/// Does not print a token.
impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("identity", &self.identity).finish_non_exhaustive()
    }
}
