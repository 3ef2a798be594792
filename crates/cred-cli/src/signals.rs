//! The signals that interrupt async work.

use std::pin::pin;

use futures_util::future::{Either, select};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

#[cfg(unix)]
use crate::blocking;
use crate::failure::{Exit, Failure};

/// Handlers for SIGINT and SIGTERM. Once they are installed, a signal no longer ends the process
/// directly. A signal that was ignored at the start stays ignored.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        use rustix::process::Signal as Number;
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, "the handlers for SIGINT and SIGTERM could not be installed")
                .caused_by(error)
        };
        let listen = |number: Number| {
            let kind = (!blocking::is_ignored(number)).then(|| SignalKind::from_raw(number.as_raw()));
            kind.map(signal).transpose().map_err(failed)
        };
        // First, so that blocking reads and writes also see a signal that arrives between the two.
        blocking::listen().map_err(failed)?;
        Ok(Self { interrupt: listen(Number::INT)?, terminate: listen(Number::TERM)? })
    }

    pub(crate) async fn next(&mut self) -> Exit {
        match select(pin!(received(&mut self.interrupt)), pin!(received(&mut self.terminate))).await {
            Either::Left(_) => Exit::Interrupted,
            Either::Right(_) => Exit::Terminated,
        }
    }
}

#[cfg(unix)]
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) -> Exit {
        // Without a handler, no signal can be awaited.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Exit::Interrupted
    }
}
