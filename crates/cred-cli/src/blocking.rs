//! Reads of stdin and writes to stdout that a signal can interrupt. Both may be pipes that block
//! forever.

use std::fmt;
use std::io;

#[cfg(unix)]
pub(crate) use self::unix::{Stdin, is_ignored, listen, wait_ready};
use crate::failure::Exit;

/// A signal arrived before the read or write was possible.
#[derive(Debug)]
struct SignalError(Exit);

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted by a signal")
    }
}

impl std::error::Error for SignalError {}

/// The exit code of the signal that interrupted a read or write, if one did.
pub(crate) fn signal_of(error: &io::Error) -> Option<Exit> {
    error.get_ref()?.downcast_ref().map(|SignalError(exit)| *exit)
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::OnceLock;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::Signal;
    use signal_hook::low_level::pipe;

    use super::SignalError;
    use crate::failure::Exit;

    /// One socket per signal. Its handler writes a byte, which is never read. Signals belong to the
    /// process, so this is a static.
    static SIGNAL_PIPES: OnceLock<Vec<(UnixStream, Exit)>> = OnceLock::new();

    /// Installs the handlers. From now on a signal ends a wait in this module, unless the parent
    /// process ignored it. Before, a signal ends the process directly.
    pub(crate) fn listen() -> io::Result<()> {
        if SIGNAL_PIPES.get().is_some() {
            return Ok(());
        }
        let mut pipes = Vec::new();
        for (signal, exit) in [(Signal::INT, Exit::Interrupted), (Signal::TERM, Exit::Terminated)] {
            if !is_ignored(signal) {
                let (end, handler) = UnixStream::pair()?;
                pipe::register(signal.as_raw(), handler)?;
                pipes.push((end, exit));
            }
        }
        let _ = SIGNAL_PIPES.set(pipes);
        Ok(())
    }

    /// Whether the parent process ignored a signal, as a shell does for a background job. Such a
    /// signal gets no handler: exec resets a handled signal to the default, so that the command of
    /// `cred run` would no longer ignore it.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_ignored(signal: Signal) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        mask & 1 << (signal.as_raw() - 1) != 0
    }

    /// Other systems have no such file, and querying a handler needs unsafe code.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn is_ignored(_: Signal) -> bool {
        false
    }

    /// Waits until a file is ready for reading or writing.
    pub(crate) fn wait_ready(file: &impl AsFd, how: PollFlags) -> io::Result<()> {
        let Some(pipes) = SIGNAL_PIPES.get() else { return Ok(()) };
        let mut waited: Vec<_> = pipes.iter().map(|(end, _)| PollFd::new(end, PollFlags::IN)).collect();
        waited.push(PollFd::new(file, how));
        loop {
            match poll(&mut waited, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for ((_, exit), polled) in pipes.iter().zip(&waited) {
            if !polled.revents().is_empty() {
                return Err(io::Error::other(SignalError(*exit)));
            }
        }
        Ok(())
    }

    /// Unbuffered stdin.
    pub(crate) struct Stdin(File);

    impl Stdin {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(io::stdin().as_fd().try_clone_to_owned()?.into()))
        }
    }

    impl Read for Stdin {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                wait_ready(&self.0, PollFlags::IN)?;
                match self.0.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
        }
    }
}

/// Plain stdin: on this system a wait for a pipe cannot be interrupted.
#[cfg(not(unix))]
pub(crate) struct Stdin;

#[cfg(not(unix))]
impl Stdin {
    #[allow(clippy::new_ret_no_self, reason = "it stands for stdin")]
    pub(crate) fn new() -> io::Result<io::StdinLock<'static>> {
        Ok(io::stdin().lock())
    }
}
