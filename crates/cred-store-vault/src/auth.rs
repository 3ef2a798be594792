//! The token: renewed before it expires, and replaced while requests run.
//!
//! One task does all of this. It starts with the first use and ends with the provider. It logs in
//! when an operation waits for a token, renews the token before the lease ends, and logs in again
//! when Vault no longer extends the lease. All waiting operations share one login; a request keeps
//! the token with which it started.

mod hold;
mod keeper;
mod lease;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind, StorageResult};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use self::hold::LoginBackoff;
use self::keeper::{TokenKeeper, TokenState};
use self::lease::Lease;
use crate::client::{Client, Token};
use crate::{VaultAuthMethod, VaultConfig};

/// How much longer than the timeout of one call a shutdown waits for the task.
const MARGIN: Duration = Duration::from_secs(1);

/// The token of a provider. Dropping it ends the task.
pub(crate) struct Auth {
    keeper: Arc<TokenKeeper>,
    task: Mutex<Option<Task>>,
}

/// The background task. Any number of callers may wait for its end.
struct Task {
    handle: JoinHandle<()>,
    /// Closed when the task has ended for any reason.
    running: watch::Receiver<()>,
}

/// A token and its lease.
pub(crate) struct Session {
    token: Arc<Token>,
    /// The number of the login that returned it, from 1; 0: it comes from the configuration.
    login: u64,
    /// `None`: it does not expire, or its expiry is unknown.
    lease: Option<Lease>,
}

impl Session {
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    fn has_ended(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.has_ended(Instant::now()))
    }
}

impl Auth {
    pub(crate) fn new(client: Arc<Client>, config: &VaultConfig) -> Self {
        Self { keeper: Arc::new(TokenKeeper::new(client, config)), task: Mutex::default() }
    }

    /// Returns the current token, if there is a valid one. Costs two locks and one read of the
    /// clock.
    pub(crate) fn current(&self) -> Option<Arc<Session>> {
        let (session, idle) = {
            let state = self.keeper.state();
            let session = state.session.as_ref().filter(|session| !state.closed && !session.has_ended())?;
            (Arc::clone(session), state.idle)
        };
        if !idle {
            self.ensure_task();
        }
        Some(session)
    }

    /// Returns the current token, after a login if one is needed. Dropping the future does not
    /// cancel the login for other waiting operations.
    ///
    /// # Errors
    /// The login failed. All operations that waited for it get the same error.
    pub(crate) async fn session(&self) -> StorageResult<Arc<Session>> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let mut finished = self.keeper.finished.subscribe();
        loop {
            let requested = {
                let mut state = self.keeper.state();
                if let Some(error) = refusal(&state, self.keeper.method()) {
                    return Err(error);
                }
                let requested = finished.borrow_and_update().saturating_add(1);
                state.requested = requested;
                requested
            };
            self.ensure_task();
            self.keeper.wake.notify_one();
            // This cannot fail, because `self` keeps the sender alive.
            let _ = finished.wait_for(|finished| *finished >= requested).await;
            let state = self.keeper.state();
            match (state.closed, &state.session, &state.backoff) {
                (true, ..) => return Err(closed()),
                (false, Some(session), _) => return Ok(Arc::clone(session)),
                (false, None, Some(backoff)) => return Err(backoff.error.clone()),
                // Vault revoked the token before it was used, so another login is needed.
                (false, None, None) => {}
            }
        }
    }

    /// Discards a session whose token Vault no longer accepts. False: no other token is available.
    pub(crate) fn discard(&self, session: &Session) -> bool {
        if let VaultAuthMethod::Token { .. } = self.keeper.method() {
            return false;
        }
        let mut state = self.keeper.state();
        if state.session.as_ref().is_some_and(|current| current.login == session.login) {
            state.session = None;
        }
        true
    }

    /// Ends the task and refuses all further use. Returns the session whose token must be revoked:
    /// one that came from a login and was not revoked yet.
    ///
    /// Waits at most for `max_wait`. If the future is dropped, the next call continues: the task
    /// ends by itself, and the session is still to be revoked.
    pub(crate) async fn close(&self, max_wait: Duration) -> Option<Arc<Session>> {
        self.keeper.state().closed = true;
        self.keeper.wake.notify_one();
        self.keeper.finish_login();
        let running = self.task().as_ref().map(|task| task.running.clone());
        if let Some(mut running) = running {
            // A login in progress returns a token that must be revoked, so it may finish; it has
            // its own timeout.
            let limit = self.keeper.timeout.saturating_add(MARGIN).min(max_wait);
            if timeout(limit, running.changed()).await.is_err() {
                self.abort();
            }
        }
        self.keeper.state().session.clone().filter(|session| session.login > 0)
    }

    /// Records that the token of a closed session was revoked.
    pub(crate) fn revoked(&self) {
        self.keeper.state().session = None;
    }

    fn ensure_task(&self) {
        let mut task = self.task();
        // The runtime of an earlier task may have ended.
        if task.as_ref().is_none_or(|task| task.handle.is_finished()) && self.keeper.has_work() {
            let (sender, running) = watch::channel(());
            let keeper = Arc::clone(&self.keeper);
            let handle = tokio::spawn(async move {
                let _runs = sender;
                keeper.run().await;
            });
            *task = Some(Task { handle, running });
        }
    }

    fn abort(&self) {
        if let Some(task) = &*self.task() {
            task.handle.abort();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Auth {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Prints no token.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = self.keeper.state().session.as_ref().map(|session| session.login);
        f.debug_struct("Auth")
            .field("method", self.keeper.method())
            .field("login", &login)
            .finish_non_exhaustive()
    }
}

/// The reason why no login is started, if there is one.
fn refusal(state: &TokenState, method: &VaultAuthMethod) -> Option<StorageError> {
    let backoff = state.backoff.as_ref().filter(|backoff| !backoff.is_over(Instant::now()));
    match (state.closed, backoff, method) {
        (true, ..) => Some(closed()),
        (false, Some(backoff), _) => Some(backoff.error.clone()),
        (false, None, VaultAuthMethod::Token { .. }) => {
            Some(unauthenticated("the token has expired; configure another one"))
        }
        (false, None, VaultAuthMethod::AppRole { .. }) => None,
    }
}

fn closed() -> StorageError {
    StorageErrorKind::ShutDown.into()
}

fn unauthenticated(reason: &'static str) -> StorageError {
    StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn an_operation_whose_token_was_discarded_waits_for_another_login() {
        // It accepts connections and never responds.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = VaultConfig::default()
            .with_address(format!("http://{}", silent.local_addr().unwrap()))
            .with_auth_method(VaultAuthMethod::app_role("role", "s-1234".into()));
        let auth = Auth::new(Arc::new(Client::new(&config).unwrap()), &config);
        let discarded = async {
            sleep(Duration::from_millis(50)).await;
            // A login has succeeded, and Vault revoked the token before its waiters ran.
            auth.keeper.finish_login();
            sleep(Duration::from_millis(50)).await;
        };
        tokio::select! {
            session = auth.session() => panic!("{:?}", session.err()),
            () = discarded => {}
        }
        auth.keeper.state().closed = true;
        let error = auth.session().await.err().unwrap();
        assert!(error.to_string().contains("was shut down"), "{error}");
    }
}
