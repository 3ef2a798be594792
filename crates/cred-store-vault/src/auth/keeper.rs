//! The task that keeps a token alive.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{SecretString, StorageError, StorageErrorKind};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Hold, Lease, Session};
use crate::client::{Client, Grant, Token};
use crate::error::{Failure, Meaning};
use crate::{VaultAuthMethod, VaultConfig};

const TARGET: &str = "cred::vault";

/// What the task and those who wait for it share.
pub(super) struct Keeper {
    client: Arc<Client>,
    method: VaultAuthMethod,
    threshold: Duration,
    /// Of one login, renewal or look-up.
    pub(super) timeout: Duration,
    state: Mutex<State>,
    /// Somebody waits for a login, or for the task to end.
    pub(super) wake: Notify,
    /// How many logins have ended, well or not.
    pub(super) ended: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) session: Option<Arc<Session>>,
    /// The login that somebody waits for, counted as `ended` counts.
    pub(super) wanted: u64,
    /// Why the last login gave nothing, and until when no other is tried.
    pub(super) failed: Option<Hold>,
    /// There is nothing that a task could do.
    pub(super) idle: bool,
    pub(super) closed: bool,
}

impl Keeper {
    pub(super) fn new(client: Arc<Client>, config: &VaultConfig) -> Self {
        let mut state = State::default();
        if let VaultAuthMethod::Token { token } = &config.auth_method {
            let token = Arc::new(Token::new(token));
            state.session = Some(Arc::new(Session { token, login: 0, lease: None }));
        }
        Self {
            client,
            method: config.auth_method.clone(),
            threshold: config.token_renewal_threshold,
            timeout: config.timeout.saturating_mul(2),
            state: Mutex::new(state),
            wake: Notify::new(),
            ended: watch::Sender::new(0),
        }
    }

    pub(super) fn method(&self) -> &VaultAuthMethod {
        &self.method
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_work(&self) -> bool {
        let state = self.state();
        !state.idle && !state.closed
    }

    fn current(&self) -> Option<Arc<Session>> {
        self.state().session.clone()
    }

    fn logs_in(&self) -> bool {
        matches!(self.method, VaultAuthMethod::AppRole { .. })
    }

    pub(super) async fn keep(self: Arc<Self>) {
        if !self.logs_in() {
            self.look_up().await;
        }
        while let Some(due) = self.next() {
            match due {
                Some(due) => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until(due) => {}
                    }
                }
                None => self.wake.notified().await,
            }
            let (session, wanted) = {
                let state = self.state();
                if state.closed {
                    return;
                }
                (state.session.clone(), state.wanted > *self.ended.borrow())
            };
            let is_due =
                |session: &Session| session.lease.as_ref().is_some_and(|lease| lease.is_due(Instant::now()));
            match session {
                Some(session) if is_due(&session) => self.prolong(&session).await,
                // Whoever waits has come too late to see it.
                Some(session) if wanted && !session.has_ended() => self.end_login(),
                _ if wanted => self.log_in().await,
                _ => {}
            }
        }
    }

    /// When something must be done; `Some(None)`: when somebody waits. `None`: nothing any more.
    fn next(&self) -> Option<Option<Instant>> {
        let mut state = self.state();
        let due = state.session.as_ref().and_then(|session| Some(session.lease.as_ref()?.due));
        // A token without a lease that is not ours: nobody prolongs it, nobody replaces it.
        state.idle = due.is_none() && !self.logs_in();
        (!state.idle && !state.closed).then_some(due)
    }

    /// Learns the lease of a token that was given to us. Where that may not be asked, the token is
    /// used as it is.
    async fn look_up(&self) {
        let mut pause = Duration::from_secs(1);
        loop {
            let Some(session) = self.current() else { return };
            let begun = Instant::now();
            match self.in_time(self.client.lookup(session.token())).await {
                Ok(grant) => return self.put(&session, self.lease(begun, &grant)),
                Err(failure) if !is_final(&failure) => {}
                Err(failure) => {
                    tracing::info!(
                        target: TARGET,
                        error = %failure.error,
                        "the token may not look itself up, so it is not renewed"
                    );
                    return;
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            if self.state().closed {
                return;
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    /// Renews a token that is due, or replaces it.
    async fn prolong(&self, session: &Arc<Session>) {
        let Some(lease) = &session.lease else { return };
        if lease.renewable && !session.has_ended() {
            let begun = Instant::now();
            match self.in_time(self.client.renew(session.token())).await {
                Ok(grant) if self.logs_in() && lease.is_cut_to(grant.lease) => {}
                Ok(grant) => {
                    let next = self.lease(begun, &grant).map(|next| lease.renewed_as(next));
                    return self.put(session, next);
                }
                Err(failure) => {
                    tracing::warn!(target: TARGET, error = %failure.error, "the token could not be renewed");
                    let hopeless = failure.meaning == Meaning::TokenInvalid || !failure.error.is_transient();
                    if !hopeless && lease.leaves_time(Instant::now()) {
                        return self.put(session, Some(lease.later(Instant::now())));
                    }
                }
            }
        }
        if self.logs_in() {
            return self.log_in().await;
        }
        // Until its end it may still be prolonged by others; then Vault says that it is none.
        let now = Instant::now();
        self.put(session, (lease.renewable && !lease.has_ended(now)).then(|| lease.later(now)));
    }

    /// Logs in, for all who wait.
    async fn log_in(&self) {
        let VaultAuthMethod::AppRole { role_id, secret_id, mount_path } = &self.method else { return };
        // A renewal may have ended after the provider was shut down: nobody is left for the token.
        if self.state().closed {
            return;
        }
        let begun = Instant::now();
        let answer = self.in_time(self.client.login(mount_path, role_id, secret_id)).await;
        let answer = answer.and_then(|grant| match &grant.token {
            Some(token) => Ok(self.session(token, begun, &grant)),
            None => Err(StorageError::other("the login gave no token").into()),
        });
        {
            let mut state = self.state();
            match answer {
                Ok(session) => {
                    state.session = Some(Arc::new(session));
                    state.failed = None;
                }
                Err(failure) => {
                    tracing::warn!(target: TARGET, error = %failure.error, "the login failed");
                    let now = Instant::now();
                    let hold = Hold::after(state.failed.as_ref(), failure, now);
                    // The token that there is may be good for a while.
                    state.session =
                        state.session.take().filter(|session| !session.has_ended()).map(|session| {
                            let later = |lease: &Lease| lease.later(now).not_before(hold.until);
                            Arc::new(Session {
                                token: Arc::clone(&session.token),
                                login: session.login,
                                lease: session.lease.as_ref().map(later),
                            })
                        });
                    state.failed = Some(hold);
                }
            }
        }
        self.end_login();
    }

    /// Wakes all who wait, whatever there is for them.
    pub(super) fn end_login(&self) {
        self.ended.send_modify(|ended| *ended = ended.saturating_add(1));
    }

    fn session(&self, token: &SecretString, begun: Instant, grant: &Grant) -> Session {
        Session {
            token: Arc::new(Token::new(token)),
            login: self.ended.borrow().saturating_add(1),
            lease: self.lease(begun, grant),
        }
    }

    fn lease(&self, begun: Instant, grant: &Grant) -> Option<Lease> {
        Lease::new(begun, grant.lease, grant.renewable, self.threshold, fastrand::f64())
    }

    /// Gives a session another lease, unless it was given up meanwhile.
    fn put(&self, session: &Session, lease: Option<Lease>) {
        let mut state = self.state();
        if state.session.as_ref().is_some_and(|current| current.login == session.login) {
            state.session =
                Some(Arc::new(Session { token: Arc::clone(&session.token), login: session.login, lease }));
        }
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match timeout(self.timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(StorageError::from(StorageErrorKind::Timeout { limit: self.timeout }).into()),
        }
    }
}

/// Whether Vault has said that this token may not look itself up, or is none. Any other answer may
/// be another one later.
fn is_final(failure: &Failure) -> bool {
    failure.meaning == Meaning::TokenInvalid
        || matches!(failure.error.kind(), StorageErrorKind::PermissionDenied { .. })
}
