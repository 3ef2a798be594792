//! Stdout, which may be a pipe that nobody reads: a signal ends the wait for room in it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;

use cred_core::Zeroizing;
use rustix::event::PollFlags;

use crate::blocking;

/// What any pipe that has room takes at once, by POSIX.
const PIECE: usize = 512;

pub(super) struct Results {
    out: File,
    /// Of what was not written yet, never more than a piece: nothing is moved, and nothing is left
    /// behind.
    piece: Zeroizing<Vec<u8>>,
}

impl Results {
    pub(super) fn new() -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned()?.into();
        Ok(Self { out, piece: Zeroizing::new(Vec::with_capacity(PIECE)) })
    }
}

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.piece.is_empty() {
            blocking::ready(&self.out, PollFlags::OUT)?;
            match self.out.write(&self.piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.piece.drain(..written)),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
