//! The state that commands share: the configuration, open providers and managers, and waits that
//! signals can interrupt.

use std::cell::{OnceCell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cred_config::model::{Config, Profile};
use cred_core::StorageProvider;
use cred_crypto::KeyRing;
use cred_manager::{CredentialManager, CredentialManagerBuilder, OnExpired, Yes};
use cred_provider_kit::{Env as _, ProcessEnv};
use futures_util::future::{Either, select};
use tokio::runtime::Runtime;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::cli::Global;
use crate::config::{self, ring};
use crate::failure::{Exit, Failure};
use crate::output::Output;
#[cfg(unix)]
use crate::process;
use crate::signals::Signals;

/// Maximum time that shutdown waits for running work: a write that has begun, the revocation of a
/// token.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct App {
    pub(crate) output: Output,
    global: Global,
    config: OnceCell<Config>,
    runtime: OnceCell<Runtime>,
    providers: RefCell<Vec<Arc<dyn StorageProvider>>>,
    managers: RefCell<Vec<CredentialManager>>,
    /// The handlers of the process, installed by the first wait.
    signals: RefCell<Option<Signals>>,
}

impl App {
    pub(crate) fn new(global: Global) -> Self {
        let output = Output { json: global.json, quiet: global.quiet };
        Self {
            output,
            global,
            config: OnceCell::new(),
            runtime: OnceCell::new(),
            providers: RefCell::default(),
            managers: RefCell::default(),
            signals: RefCell::default(),
        }
    }

    /// Enables logging if `CRED_LOG` is set.
    pub(crate) fn init_logging(&self) -> Result<(), Failure> {
        let Some(level) = ProcessEnv.get("CRED_LOG") else { return Ok(()) };
        let level: tracing::level_filters::LevelFilter = level.parse().map_err(|_| {
            Failure::usage("the variable CRED_LOG is not a log level")
                .hint("set it to error, warn, info, debug or trace, or unset it")
        })?;
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .init();
        Ok(())
    }

    pub(crate) fn config(&self) -> Result<&Config, Failure> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config = self.trusted_config()?;
        Ok(self.config.get_or_init(|| config))
    }

    fn trusted_config(&self) -> Result<Config, Failure> {
        let config = self.untrusted_config()?;
        config::require_trust(&config)?;
        // Keys and values are read only after the configuration.
        #[cfg(unix)]
        process::protect();
        Ok(config)
    }

    /// The configuration before its trust is checked. It may be inspected, but not used.
    pub(crate) fn untrusted_config(&self) -> Result<Config, Failure> {
        config::find(self.global.config.as_deref())
    }

    /// Checks that the configuration is usable now. Commands that prompt call this first, and read
    /// the configuration again after the prompt, which may have taken minutes.
    pub(crate) fn check_config(&self) -> Result<(), Failure> {
        self.profile_of(&self.trusted_config()?)?.keys()?;
        Ok(())
    }

    /// The profile chosen by the option, the variable or the file.
    pub(crate) fn profile(&self) -> Result<Profile<'_>, Failure> {
        self.profile_of(self.config()?)
    }

    /// The chosen profile of a given configuration.
    pub(crate) fn profile_of<'c>(&self, config: &'c Config) -> Result<Profile<'c>, Failure> {
        Ok(match &self.global.profile {
            Some(name) => config.profile(name, "--profile")?,
            None => config.chosen()?,
        })
    }

    /// Opens the provider of a profile. `close` shuts it down.
    pub(crate) fn provider(&self, profile: &Profile<'_>) -> Result<Arc<dyn StorageProvider>, Failure> {
        let provider = profile.open()?;
        self.providers.borrow_mut().push(Arc::clone(&provider));
        Ok(provider)
    }

    /// Loads the keys of a profile, and prompts for passphrases if needed.
    pub(crate) fn keys(&self, profile: &Profile<'_>) -> Result<KeyRing, Failure> {
        profile.keys()?.load(ring::ask)
    }

    /// A builder for the manager of a profile.
    pub(crate) fn builder(
        &self,
        profile: &Profile<'_>,
    ) -> Result<CredentialManagerBuilder<Yes, Yes>, Failure> {
        let keys = self.keys(profile)?;
        let provider = self.provider(profile)?;
        // Each command handles expired credentials itself.
        let builder = CredentialManager::builder().storage(provider).keys(keys);
        Ok(builder.created_by(profile.created_by()?).on_expired(OnExpired::Return))
    }

    /// The manager of the chosen profile, without a cache: a command reads each credential once.
    pub(crate) fn manager(&self) -> Result<(Profile<'_>, CredentialManager), Failure> {
        let profile = self.profile()?;
        let manager = self.builder(&profile)?.build();
        self.close_at_exit(&manager);
        Ok((profile, manager))
    }

    /// Registers a manager: `close` waits for the writes that it has begun.
    pub(crate) fn close_at_exit(&self, manager: &CredentialManager) {
        self.managers.borrow_mut().push(manager.clone());
    }

    /// Runs work until it completes or a signal ends the program. On a signal the work is dropped;
    /// [`close`](Self::close) then waits for writes that have begun.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime()?.block_on(async {
            // From the first wait on, a signal no longer ends the process directly: a signal
            // between two waits is handled by the second.
            let mut signals = match self.signals.take() {
                Some(signals) => signals,
                None => Signals::listen()?,
            };
            // If both are ready, the signal wins.
            let result = match select(pin!(signals.next()), pin!(work)).await {
                Either::Left((exit, _)) => Err(interrupted(exit)),
                Either::Right((result, _)) => result,
            };
            self.signals.replace(Some(signals));
            result
        })
    }

    /// Shuts down all managers and providers. A second signal ends the wait.
    pub(crate) fn close(&self) {
        let (managers, providers) = (self.managers.take(), self.providers.take());
        let Some(runtime) = self.runtime.get() else { return };
        runtime.block_on(async {
            let Some(mut signals) = self.signals.take().or_else(|| Signals::listen().ok()) else { return };
            let work = async {
                for manager in managers {
                    // The callers of these writes have received their results.
                    let _ = manager.shutdown().await;
                }
                for provider in providers {
                    provider.shutdown().await;
                }
            };
            let work = tokio::time::timeout(SHUTDOWN_TIMEOUT, work);
            let _ = select(pin!(work), pin!(signals.next())).await;
        });
    }

    fn runtime(&self) -> Result<&Runtime, Failure> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            Failure::new(Exit::Failed, "the async runtime could not be started").caused_by(error)
        })?;
        Ok(self.runtime.get_or_init(|| runtime))
    }
}

fn interrupted(exit: Exit) -> Failure {
    Failure::new(exit, "interrupted")
        .hint("completed changes stay, and nothing is half written; a write in progress may have happened or not: read it back first")
}
