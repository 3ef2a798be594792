//! Stdout. If it is a pipe that is full, a signal ends the wait.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;

use cred_core::Zeroizing;
use rustix::event::PollFlags;

use crate::blocking;

/// The size of a write that a pipe accepts whole if it is ready for writing; guaranteed by POSIX.
const CHUNK: usize = 512;

pub(super) struct InterruptibleStdout {
    out: File,
    /// Pending bytes, at most one chunk: the buffer never grows, so no copy of a secret is left in
    /// freed memory.
    chunk: Zeroizing<Vec<u8>>,
}

impl InterruptibleStdout {
    pub(super) fn new() -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(Self { out, chunk: Zeroizing::new(Vec::with_capacity(CHUNK)) })
    }
}

impl Write for InterruptibleStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.chunk.is_empty() {
            blocking::wait_ready(&self.out, PollFlags::OUT)?;
            match self.out.write(&self.chunk) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.chunk.drain(..written)),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
