//! What commands work with: the configuration, what was opened, and the wait for it, which signals
//! end.

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

/// How long is waited at the end for what still runs: a write that has begun, a token that is given
/// back.
const LAST_WAIT: Duration = Duration::from_secs(10);

pub(crate) struct App {
    pub(crate) output: Output,
    global: Global,
    config: OnceCell<Config>,
    runtime: OnceCell<Runtime>,
    providers: RefCell<Vec<Arc<dyn StorageProvider>>>,
    managers: RefCell<Vec<CredentialManager>>,
    /// Listened to since the first wait.
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

    /// Logs, if `CRED_LOG` asks for it.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        let Some(level) = ProcessEnv.get("CRED_LOG") else { return Ok(()) };
        let level: tracing::level_filters::LevelFilter = level.parse().map_err(|_| {
            Failure::usage("CRED_LOG is none of error, warn, info, debug and trace")
                .hint("unset it, or set one of them")
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
        let config = self.read()?;
        Ok(self.config.get_or_init(|| config))
    }

    fn read(&self) -> Result<Config, Failure> {
        let config = self.untrusted_config()?;
        config::require_trust(&config)?;
        // Keys and values come after the configuration.
        #[cfg(unix)]
        process::protect();
        Ok(config)
    }

    /// The configuration before it is known whether it may be used: to be looked at alone.
    pub(crate) fn untrusted_config(&self) -> Result<Config, Failure> {
        config::find(self.global.config.as_deref())
    }

    /// Whether the configuration could be used as it is now. It is read anew where it is used:
    /// before that, a person is asked for what takes minutes.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.chosen(&self.read()?)?.keys()?;
        Ok(())
    }

    /// The profile that is chosen by option, variable or file.
    pub(crate) fn profile(&self) -> Result<Profile<'_>, Failure> {
        self.chosen(self.config()?)
    }

    /// The same, of a configuration.
    pub(crate) fn chosen<'c>(&self, config: &'c Config) -> Result<Profile<'c>, Failure> {
        Ok(match &self.global.profile {
            Some(name) => config.profile(name, "--profile")?,
            None => config.chosen()?,
        })
    }

    /// A profile's provider. It is shut down at the end.
    pub(crate) fn provider(&self, profile: &Profile<'_>) -> Result<Arc<dyn StorageProvider>, Failure> {
        let provider = profile.open()?;
        self.providers.borrow_mut().push(Arc::clone(&provider));
        Ok(provider)
    }

    /// A profile's keys; may ask for passphrases.
    pub(crate) fn keys(&self, profile: &Profile<'_>) -> Result<KeyRing, Failure> {
        profile.keys()?.load(ring::ask)
    }

    /// What makes a profile's manager.
    pub(crate) fn builder(
        &self,
        profile: &Profile<'_>,
    ) -> Result<CredentialManagerBuilder<Yes, Yes>, Failure> {
        let keys = self.keys(profile)?;
        let provider = self.provider(profile)?;
        // The commands warn or refuse by themselves.
        let builder = CredentialManager::builder().storage(provider).keys(keys);
        Ok(builder.created_by(profile.created_by()?).on_expired(OnExpired::Return))
    }

    /// The manager of the chosen profile, without a cache: each command looks once.
    pub(crate) fn manager(&self) -> Result<(Profile<'_>, CredentialManager), Failure> {
        let profile = self.profile()?;
        let manager = self.builder(&profile)?.build();
        self.closes(&manager);
        Ok((profile, manager))
    }

    /// Waits at the end for the writes that this manager has begun.
    pub(crate) fn closes(&self, manager: &CredentialManager) {
        self.managers.borrow_mut().push(manager.clone());
    }

    /// Waits for an answer, or for the signal that ends the program: then the work is dropped where
    /// it stands, and what it has begun to write is waited for in [`close`](Self::close).
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime()?.block_on(async {
            // From the first wait on, a signal ends nothing by itself: one that comes between two
            // is seen by the second.
            let mut signals = match self.signals.take() {
                Some(signals) => signals,
                None => Signals::listen()?,
            };
            // Of both, the signal counts.
            let result = match select(pin!(signals.first()), pin!(work)).await {
                Either::Left((exit, _)) => Err(interrupted(exit)),
                Either::Right((result, _)) => result,
            };
            self.signals.replace(Some(signals));
            result
        })
    }

    /// Ends what was opened. A second signal ends the wait.
    pub(crate) fn close(&self) {
        let (managers, providers) = (self.managers.take(), self.providers.take());
        let Some(runtime) = self.runtime.get() else { return };
        runtime.block_on(async {
            let Some(mut signals) = self.signals.take().or_else(|| Signals::listen().ok()) else { return };
            let work = async {
                for manager in managers {
                    // What its writes came to was told to whoever waited for them.
                    let _ = manager.shutdown().await;
                }
                for provider in providers {
                    provider.shutdown().await;
                }
            };
            let work = tokio::time::timeout(LAST_WAIT, work);
            let _ = select(pin!(work), pin!(signals.first())).await;
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
        .hint("what was done stays done, and nothing is half written; what was under way may have happened or not, so look first")
}
