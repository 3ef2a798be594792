//! The task that keeps a token alive.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{SecretString, StorageError, StorageErrorKind};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Lease, LoginBackoff, Session};
use crate::client::{Client, Token, TokenGrant};
use crate::error::{CallFailure, FailureCause};
use crate::{VaultAuthMethod, VaultConfig};

const TARGET: &str = "cred::vault";

/// The state that the task shares with the operations that wait for it.
pub(super) struct TokenKeeper {
    client: Arc<Client>,
    method: VaultAuthMethod,
    threshold: Duration,
    /// The timeout of one login, renewal or lookup.
    pub(super) timeout: Duration,
    state: Mutex<TokenState>,
    /// Signals that an operation waits for a login, or for the task to end.
    pub(super) wake: Notify,
    /// The number of logins that have finished, successfully or not.
    pub(super) finished: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct TokenState {
    pub(super) session: Option<Arc<Session>>,
    /// The number of the login for which an operation waits, counted like `finished`.
    pub(super) requested: u64,
    /// Why the last login failed, and until when no other is tried.
    pub(super) backoff: Option<LoginBackoff>,
    /// Whether a task would have nothing to do.
    pub(super) idle: bool,
    pub(super) closed: bool,
}

impl TokenKeeper {
    pub(super) fn new(client: Arc<Client>, config: &VaultConfig) -> Self {
        let mut state = TokenState::default();
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
            finished: watch::Sender::new(0),
        }
    }

    pub(super) fn method(&self) -> &VaultAuthMethod {
        &self.method
    }

    pub(super) fn state(&self) -> MutexGuard<'_, TokenState> {
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

    pub(super) async fn run(self: Arc<Self>) {
        if !self.logs_in() {
            self.look_up_lease().await;
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
            let (session, requested) = {
                let state = self.state();
                if state.closed {
                    return;
                }
                (state.session.clone(), state.requested > *self.finished.borrow())
            };
            let is_due =
                |session: &Session| session.lease.as_ref().is_some_and(|lease| lease.is_due(Instant::now()));
            match session {
                Some(session) if is_due(&session) => self.renew_or_replace(&session).await,
                // The session appeared after the operation had started to wait.
                Some(session) if requested && !session.has_ended() => self.finish_login(),
                _ if requested => self.log_in().await,
                _ => {}
            }
        }
    }

    /// Returns when the task must act next. `Some(None)`: when an operation waits for a login.
    /// `None`: never again.
    fn next(&self) -> Option<Option<Instant>> {
        let mut state = self.state();
        let due = state.session.as_ref().and_then(|session| Some(session.lease.as_ref()?.due));
        // A configured token without a lease can be neither renewed nor replaced.
        state.idle = due.is_none() && !self.logs_in();
        (!state.idle && !state.closed).then_some(due)
    }

    /// Looks up the lease of a configured token. If the token may not do that, it is used without
    /// renewal.
    async fn look_up_lease(&self) {
        let mut pause = Duration::from_secs(1);
        loop {
            let Some(session) = self.current() else { return };
            let begun = Instant::now();
            match self.with_timeout(self.client.lookup(session.token())).await {
                Ok(grant) => return self.set_lease(&session, self.lease(begun, &grant)),
                Err(failure) if !is_final(&failure) => {}
                Err(failure) => {
                    tracing::info!(
                        target: TARGET,
                        error = %failure.error,
                        "the token is invalid or may not look itself up, so it is not renewed"
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
    async fn renew_or_replace(&self, session: &Arc<Session>) {
        let Some(lease) = &session.lease else { return };
        if lease.renewable && !session.has_ended() {
            let begun = Instant::now();
            match self.with_timeout(self.client.renew(session.token())).await {
                Ok(grant) if self.logs_in() && lease.is_limited_to(grant.lease) => {}
                Ok(grant) => {
                    let next = self.lease(begun, &grant).map(|next| lease.renewed_as(next));
                    return self.set_lease(session, next);
                }
                Err(failure) => {
                    tracing::warn!(target: TARGET, error = %failure.error, "the token could not be renewed");
                    let hopeless =
                        failure.cause == FailureCause::TokenInvalid || !failure.error.is_transient();
                    if !hopeless && lease.has_time_for_retry(Instant::now()) {
                        return self.set_lease(session, Some(lease.retry_later(Instant::now())));
                    }
                }
            }
        }
        if self.logs_in() {
            return self.log_in().await;
        }
        // Until it expires, another process may renew it. After that, Vault reports it as invalid.
        let now = Instant::now();
        self.set_lease(session, (lease.renewable && !lease.has_ended(now)).then(|| lease.retry_later(now)));
    }

    /// Logs in for all waiting operations.
    async fn log_in(&self) {
        let VaultAuthMethod::AppRole { role_id, secret_id, mount_path } = &self.method else { return };
        // A renewal may have finished after the shutdown, when no operation needs a token any more.
        if self.state().closed {
            return;
        }
        let begun = Instant::now();
        let answer = self.with_timeout(self.client.login(mount_path, role_id, secret_id)).await;
        let answer = answer.and_then(|grant| match &grant.token {
            Some(token) => Ok(self.session(token, begun, &grant)),
            None => Err(StorageError::other("the login returned no token").into()),
        });
        {
            let mut state = self.state();
            match answer {
                Ok(session) => {
                    state.session = Some(Arc::new(session));
                    state.backoff = None;
                }
                Err(failure) => {
                    tracing::warn!(target: TARGET, error = %failure.error, "the login failed");
                    let now = Instant::now();
                    let backoff = LoginBackoff::after(state.backoff.as_ref(), failure, now);
                    // The current token may still be valid for a while.
                    state.session =
                        state.session.take().filter(|session| !session.has_ended()).map(|session| {
                            let later = |lease: &Lease| lease.retry_later(now).not_before(backoff.until);
                            Arc::new(Session {
                                token: Arc::clone(&session.token),
                                login: session.login,
                                lease: session.lease.as_ref().map(later),
                            })
                        });
                    state.backoff = Some(backoff);
                }
            }
        }
        self.finish_login();
    }

    /// Wakes all waiting operations, whether the login succeeded or not.
    pub(super) fn finish_login(&self) {
        self.finished.send_modify(|finished| *finished = finished.saturating_add(1));
    }

    fn session(&self, token: &SecretString, begun: Instant, grant: &TokenGrant) -> Session {
        Session {
            token: Arc::new(Token::new(token)),
            login: self.finished.borrow().saturating_add(1),
            lease: self.lease(begun, grant),
        }
    }

    fn lease(&self, begun: Instant, grant: &TokenGrant) -> Option<Lease> {
        Lease::new(begun, grant.lease, grant.renewable, self.threshold, fastrand::f64())
    }

    /// Sets the lease of a session, unless the session was discarded meanwhile.
    fn set_lease(&self, session: &Session, lease: Option<Lease>) {
        let mut state = self.state();
        if state.session.as_ref().is_some_and(|current| current.login == session.login) {
            state.session =
                Some(Arc::new(Session { token: Arc::clone(&session.token), login: session.login, lease }));
        }
    }

    async fn with_timeout<T>(
        &self,
        call: impl Future<Output = Result<T, CallFailure>>,
    ) -> Result<T, CallFailure> {
        match timeout(self.timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(StorageError::from(StorageErrorKind::Timeout { limit: self.timeout }).into()),
        }
    }
}

/// Whether Vault reports that the token may not look itself up, or is invalid. Any other failure
/// may be temporary.
fn is_final(failure: &CallFailure) -> bool {
    failure.cause == FailureCause::TokenInvalid
        || matches!(failure.error.kind(), StorageErrorKind::PermissionDenied { .. })
}
