//! Who asks: the token, kept alive, and exchanged while requests run.
//!
//! One task does all of it. It begins with the first use, logs in whenever somebody waits for a
//! token, renews before the lease ends, logs in anew where Vault no longer prolongs it, and ends
//! with the provider. However many wait, one login serves them all; a request keeps the token that
//! it began with.

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

use self::hold::Hold;
use self::keeper::{Keeper, State};
use self::lease::Lease;
use crate::client::{Client, Token};
use crate::{VaultAuthMethod, VaultConfig};

/// How much longer than one call of the task a shutdown waits for it.
const MARGIN: Duration = Duration::from_secs(1);

/// The token of a provider. Dropping it ends the task.
pub(crate) struct Auth {
    keeper: Arc<Keeper>,
    task: Mutex<Option<Task>>,
}

/// The task that keeps the token. Any number may wait for its end.
struct Task {
    handle: JoinHandle<()>,
    /// Closed when the task has ended, whatever ended it.
    running: watch::Receiver<()>,
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
            let session = state.session.as_ref().filter(|session| !state.closed && !session.has_ended())?;
            (Arc::clone(session), state.idle)
        };
        if !idle {
            self.ensure_task();
        }
        Some(session)
    }

    /// The token to ask with, after a login where that is needed. Whoever is dropped while waiting
    /// leaves the login to the others.
    ///
    /// # Errors
    /// Why the login failed; the same error for all who waited for it.
    pub(crate) async fn session(&self) -> StorageResult<Arc<Session>> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let mut ended = self.keeper.ended.subscribe();
        loop {
            let wanted = {
                let mut state = self.keeper.state();
                if let Some(error) = refusal(&state, self.keeper.method()) {
                    return Err(error);
                }
                let wanted = ended.borrow_and_update().saturating_add(1);
                state.wanted = wanted;
                wanted
            };
            self.ensure_task();
            self.keeper.wake.notify_one();
            // An error would mean that the sender is gone, which `self` keeps alive.
            let _ = ended.wait_for(|ended| *ended >= wanted).await;
            let state = self.keeper.state();
            match (state.closed, &state.session, &state.failed) {
                (true, ..) => return Err(closed()),
                (false, Some(session), _) => return Ok(Arc::clone(session)),
                (false, None, Some(hold)) => return Err(hold.error.clone()),
                // Vault took the token back before it was used: another one is needed.
                (false, None, None) => {}
            }
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

    /// Ends the task, and all use. Gives the session whose token must be revoked, which is one that
    /// we created, until it was.
    ///
    /// It waits for `patience` at most. Dropped, it leaves everything to the next one: the task
    /// ends by itself, and the session waits to be revoked.
    pub(crate) async fn close(&self, patience: Duration) -> Option<Arc<Session>> {
        self.keeper.state().closed = true;
        self.keeper.wake.notify_one();
        self.keeper.end_login();
        let running = self.task().as_ref().map(|task| task.running.clone());
        if let Some(mut running) = running {
            // A login that is under way gives a token that must be revoked, so it may end; it has a
            // timeout itself.
            let limit = self.keeper.timeout.saturating_add(MARGIN).min(patience);
            if timeout(limit, running.changed()).await.is_err() {
                self.abort();
            }
        }
        self.keeper.state().session.clone().filter(|session| session.login > 0)
    }

    /// Says that the token of a session that was closed is revoked.
    pub(crate) fn revoked(&self) {
        self.keeper.state().session = None;
    }

    fn ensure_task(&self) {
        let mut task = self.task();
        // The runtime that it ran on may have ended.
        if task.as_ref().is_none_or(|task| task.handle.is_finished()) && self.keeper.has_work() {
            let (sender, running) = watch::channel(());
            let keeper = Arc::clone(&self.keeper);
            let handle = tokio::spawn(async move {
                let _runs = sender;
                keeper.keep().await;
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

/// Why no login is begun.
fn refusal(state: &State, method: &VaultAuthMethod) -> Option<StorageError> {
    let failed = state.failed.as_ref().filter(|hold| !hold.is_over(Instant::now()));
    match (state.closed, failed, method) {
        (true, ..) => Some(closed()),
        (false, Some(hold), _) => Some(hold.error.clone()),
        (false, None, VaultAuthMethod::Token { .. }) => {
            Some(unauthenticated("the token has ended; give another"))
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
    async fn who_waits_for_a_token_that_was_given_up_meanwhile_waits_for_another() {
        // It takes connections and never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = VaultConfig::default()
            .with_address(format!("http://{}", silent.local_addr().unwrap()))
            .with_auth_method(VaultAuthMethod::app_role("role", "s-1234".into()));
        let auth = Auth::new(Arc::new(Client::new(&config).unwrap()), &config);
        let given_up = async {
            sleep(Duration::from_millis(50)).await;
            // A login has ended well, and before its waiters ran Vault took the token back.
            auth.keeper.end_login();
            sleep(Duration::from_millis(50)).await;
        };
        tokio::select! {
            session = auth.session() => panic!("{:?}", session.err()),
            () = given_up => {}
        }
        auth.keeper.state().closed = true;
        let error = auth.session().await.err().unwrap();
        assert!(error.to_string().contains("was shut down"), "{error}");
    }
}
