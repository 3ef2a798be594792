//! Who asks: the token, kept alive, and exchanged while requests run.
//!
//! One task does all of it. It begins with the first use, logs in whenever somebody waits for a token, renews before the lease
//! ends, logs in anew where Vault no longer prolongs it, and ends with the provider. However many wait, one login
//! serves them all; a request keeps the token that it began with.

mod keeper;
mod lease;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cred_core::{StorageError, StorageErrorKind};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use self::keeper::{Keeper, State};
use self::lease::Lease;
use crate::client::{Client, Token};
use crate::{VaultAuthMethod, VaultConfig};

/// The token of a provider. Dropping it ends the task.
pub(crate) struct Auth {
    keeper: Arc<Keeper>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// A token and what is known of it.
pub(crate) struct Session {
    token: Arc<Token>,
    /// Which login gave it, counted from 1; 0: it was given to us.
    login: u64,
    /// `None`: it does not end, or nobody knows when.
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
        Self { keeper: Arc::new(Keeper::new(client, config)), task: Mutex::default() }
    }

    /// The token to ask with, where there is one. Costs two locks and a look at the clock.
    pub(crate) fn current(&self) -> Option<Arc<Session>> {
        let (session, idle) = {
            let state = self.keeper.state();
            let session = state.session.as_ref().filter(|session| !session.has_ended())?;
            (Arc::clone(session), state.idle)
        };
        if !idle {
            self.ensure_task();
        }
        Some(session)
    }

    /// The token to ask with, after a login where that is needed. Whoever is dropped while waiting leaves the login to the
    /// others.
    ///
    /// # Errors
    /// Why the login failed; the same error for all who waited for it.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, StorageError> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let (mut ended, wanted) = {
            let mut state = self.keeper.state();
            if let Some(error) = refusal(&state, self.keeper.method()) {
                return Err(error);
            }
            let ended = self.keeper.ended.subscribe();
            let wanted = ended.borrow().saturating_add(1);
            state.wanted = wanted;
            (ended, wanted)
        };
        self.ensure_task();
        self.keeper.wake.notify_one();
        // An error would mean that the sender is gone, which `self` keeps alive.
        let _ = ended.wait_for(|ended| *ended >= wanted).await;
        let state = self.keeper.state();
        match (&state.session, &state.failed) {
            (Some(session), _) => Ok(Arc::clone(session)),
            (None, Some((_, error))) => Err(error.clone()),
            (None, None) => Err(closed()),
        }
    }

    /// Says that Vault no longer takes this session's token. False: no other can be had.
    pub(crate) fn give_up(&self, session: &Session) -> bool {
        if let VaultAuthMethod::Token { .. } = self.keeper.method() {
            return false;
        }
        let mut state = self.keeper.state();
        if state.session.as_ref().is_some_and(|current| current.login == session.login) {
            state.session = None;
        }
        true
    }

    /// Ends the task, and all use. Gives the session whose token must be revoked, which is one that we created, once.
    pub(crate) async fn close(&self) -> Option<Arc<Session>> {
        self.keeper.state().closed = true;
        self.keeper.wake.notify_one();
        let task = self.task().take();
        if let Some(mut task) = task {
            // A login that is under way gives a token that must be revoked, so it may end.
            if timeout(self.keeper.timeout, &mut task).await.is_err() {
                task.abort();
            }
        }
        let session = self.keeper.state().session.take();
        self.keeper.ended.send_modify(|ended| *ended = ended.saturating_add(1));
        session.filter(|session| session.login > 0)
    }

    fn ensure_task(&self) {
        let mut task = self.task();
        // The runtime that it ran on may have ended.
        if task.as_ref().is_none_or(JoinHandle::is_finished) && self.keeper.has_work() {
            *task = Some(tokio::spawn(Arc::clone(&self.keeper).keep()));
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Auth {
    fn drop(&mut self) {
        if let Some(task) = self.task().take() {
            task.abort();
        }
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

/// Why no login is begun.
fn refusal(state: &State, method: &VaultAuthMethod) -> Option<StorageError> {
    let failed = state.failed.as_ref().filter(|(until, _)| Instant::now() < *until);
    match (state.closed, failed, method) {
        (true, ..) => Some(closed()),
        (false, Some((_, error)), _) => Some(error.clone()),
        (false, None, VaultAuthMethod::Token { .. }) => {
            Some(unauthenticated("the token has ended; give another"))
        }
        (false, None, VaultAuthMethod::AppRole { .. }) => None,
    }
}

fn closed() -> StorageError {
    unauthenticated("the provider was shut down and has given its token back")
}

fn unauthenticated(reason: &'static str) -> StorageError {
    StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
}
