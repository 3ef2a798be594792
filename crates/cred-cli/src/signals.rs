//! The signals that end the program: for what is awaited, and for output that blocks.

use std::fmt;
use std::pin::pin;

use futures_util::future::{Either, select};

use crate::failure::{Exit, Failure};

/// For what is awaited. From the first one on, a signal ends nothing by itself.
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

/// A signal came before there was room for more output.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Exit);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a signal ended it")
    }
}

impl std::error::Error for Ended {}

#[cfg(unix)]
pub(crate) use self::blocking::room;

#[cfg(unix)]
mod blocking {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::OnceLock;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::Signal;
    use signal_hook::low_level::pipe;

    use super::Ended;
    use crate::failure::Exit;

    /// A byte comes on one of them with each signal, and stays. Signals are the process's, and so is this.
    static COME: OnceLock<[(UnixStream, Exit); 2]> = OnceLock::new();

    pub(super) fn listen() -> io::Result<()> {
        let register = |signal: Signal, exit| {
            let (come, handler) = UnixStream::pair()?;
            pipe::register(signal.as_raw(), handler)?;
            Ok::<_, io::Error>((come, exit))
        };
        if COME.get().is_none() {
            let come = [register(Signal::INT, Exit::Interrupted)?, register(Signal::TERM, Exit::Terminated)?];
            let _ = COME.set(come);
        }
        Ok(())
    }

    /// Waits until something can be written there; the error is an [`Ended`] where a signal came first. Before anybody has
    /// listened, a signal ends the process by itself.
    pub(crate) fn room(out: &impl AsFd) -> io::Result<()> {
        let Some([interrupt, terminate]) = COME.get() else { return Ok(()) };
        let mut waited = [
            PollFd::new(&interrupt.0, PollFlags::IN),
            PollFd::new(&terminate.0, PollFlags::IN),
            PollFd::new(out, PollFlags::OUT),
        ];
        loop {
            match poll(&mut waited, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for (signal, polled) in [interrupt, terminate].into_iter().zip(&waited) {
            if !polled.revents().is_empty() {
                return Err(io::Error::other(Ended(signal.1)));
            }
        }
        Ok(())
    }
}
