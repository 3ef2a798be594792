//! Reading stdin and writing stdout, which may be pipes that nobody writes or reads: a signal ends
//! the wait.

use std::fmt;
use std::io;

#[cfg(unix)]
pub(crate) use self::unix::{Stdin, is_ignored, listen, ready};
use crate::failure::Exit;

/// A signal came first.
#[derive(Debug)]
struct Ended(Exit);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a signal ended it")
    }
}

impl std::error::Error for Ended {}

/// The code of the signal that ended it, if one has.
pub(crate) fn ended(error: &io::Error) -> Option<Exit> {
    error.get_ref()?.downcast_ref().map(|Ended(exit)| *exit)
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

    use super::Ended;
    use crate::failure::Exit;

    /// A byte comes on one of them with each signal, and stays. Signals are the process's, and so
    /// is this.
    static COME: OnceLock<Vec<(UnixStream, Exit)>> = OnceLock::new();

    /// From now on a signal ends what waits here, unless the parent process ignored it. Before, a
    /// signal ends the process by itself.
    pub(crate) fn listen() -> io::Result<()> {
        if COME.get().is_some() {
            return Ok(());
        }
        let mut come = Vec::new();
        for (signal, exit) in [(Signal::INT, Exit::Interrupted), (Signal::TERM, Exit::Terminated)] {
            if !is_ignored(signal) {
                let (end, handler) = UnixStream::pair()?;
                pipe::register(signal.as_raw(), handler)?;
                come.push((end, exit));
            }
        }
        let _ = COME.set(come);
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

    /// Other systems have no such file, and asking them takes unsafe code.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn is_ignored(_: Signal) -> bool {
        false
    }

    /// Waits until something can be read or written there.
    pub(crate) fn ready(file: &impl AsFd, how: PollFlags) -> io::Result<()> {
        let Some(come) = COME.get() else { return Ok(()) };
        let mut waited: Vec<_> = come.iter().map(|(end, _)| PollFd::new(end, PollFlags::IN)).collect();
        waited.push(PollFd::new(file, how));
        loop {
            match poll(&mut waited, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for ((_, exit), polled) in come.iter().zip(&waited) {
            if !polled.revents().is_empty() {
                return Err(io::Error::other(Ended(*exit)));
            }
        }
        Ok(())
    }

    /// Stdin, past the buffer that the standard library has of it.
    pub(crate) struct Stdin(File);

    impl Stdin {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(io::stdin().as_fd().try_clone_to_owned()?.into()))
        }
    }

    impl Read for Stdin {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            loop {
                ready(&self.0, PollFlags::IN)?;
                match self.0.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
        }
    }
}

/// Where signals come otherwise than with a byte that can be waited for, stdin is as it is.
#[cfg(not(unix))]
pub(crate) struct Stdin;

#[cfg(not(unix))]
impl Stdin {
    #[allow(clippy::new_ret_no_self, reason = "it stands for stdin")]
    pub(crate) fn new() -> io::Result<io::StdinLock<'static>> {
        Ok(io::stdin().lock())
    }
}
