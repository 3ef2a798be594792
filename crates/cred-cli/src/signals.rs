//! The signals that end what is awaited.

use std::pin::pin;

use futures_util::future::{Either, select};

#[cfg(unix)]
use crate::blocking;
use crate::failure::{Exit, Failure};

/// From the first one on, a signal ends nothing by itself.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, "signals cannot be listened to").caused_by(error)
        };
        // First: a signal between the two must be seen by what blocks, too.
        blocking::listen().map_err(failed)?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    pub(crate) async fn first(&mut self) -> Exit {
        match select(pin!(self.interrupt.recv()), pin!(self.terminate.recv())).await {
            Either::Left(_) => Exit::Interrupted,
            Either::Right(_) => Exit::Terminated,
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) async fn first(&mut self) -> Exit {
        // Without a handler there is no signal to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Exit::Interrupted
    }
}
