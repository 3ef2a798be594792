//! Asking people: prompts that do not echo, and a yes before what cannot be undone.

use std::io::IsTerminal as _;

use cred_core::Zeroizing;

use crate::failure::Failure;

/// Bytes of the longest answer.
const MAX_LEN: usize = 64 * 1_024;

/// Whether values that are printed would be seen.
pub(crate) fn stdout_is_one() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether there is somebody to ask: with a pipe on stdin, that has the answers.
pub(crate) fn stdin_is_one() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks for a secret on the terminal, without an echo. Blocks.
pub(crate) fn hidden(question: &str) -> Result<Zeroizing<String>, Failure> {
    let answer = tty::ask(question, tty::edit)?;
    match std::str::from_utf8(&answer) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            Err(Failure::usage("what was typed is not UTF-8 text").hint("give it as a file, with --file"))
        }
    }
}

/// Asks for a yes; any other key is a no. Blocks.
pub(crate) fn confirmed(question: &str) -> Result<bool, Failure> {
    let answer = tty::ask(&format!("{question} [y/N] "), |byte, line| match byte {
        tty::INTERRUPT => tty::Next::Interrupt,
        _ => {
            line.push(byte);
            tty::Next::Done
        }
    })?;
    Ok(matches!(answer.as_slice(), b"y" | b"Y"))
}

#[cfg(unix)]
mod tty {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use cred_core::Zeroizing;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::Signal;
    use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
    use signal_hook::SigId;
    use signal_hook::low_level::{emulate_default_handler, pipe, unregister};

    use super::MAX_LEN;
    use crate::blocking;
    use crate::failure::{Exit, Failure};

    pub(super) const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const BACKSPACE: [u8; 2] = [8, 127];
    const KILL: u8 = 21;

    /// What a key does.
    pub(super) enum Next {
        More,
        /// It is the answer.
        Done,
        /// It ends the line that is.
        Line,
        Interrupt,
        /// This signal came, and ends the program once the terminal is as it was.
        Signal(i32),
        TooLong,
        /// It has no meaning here, and no text.
        Unknown,
        /// Another line follows, which nobody has typed: it was pasted.
        Several,
    }

    /// Asks on the terminal of this process, wherever stdin and stdout go.
    pub(super) fn ask(
        question: &str,
        mut key: impl FnMut(u8, &mut Vec<u8>) -> Next,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let broken = |error: io::Error| Failure::usage("the terminal cannot be read").caused_by(error);
        let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|error| {
            Failure::usage("there is no terminal to ask on")
                .hint("give it on stdin, or as a file")
                .caused_by(error)
        })?;
        // First: a signal between the two would leave the terminal silent.
        let ended = Ended::listen().map_err(broken)?;
        let silent = Silent::begin(terminal.try_clone().map_err(broken)?).map_err(broken)?;
        terminal.write_all(question.as_bytes()).map_err(broken)?;
        // As long as it can become from the start: growing leaves copies behind.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        let end = loop {
            match ended.before(&terminal) {
                Ok(None) => {}
                Ok(Some(signal)) => break Next::Signal(signal),
                Err(error) => return Err(broken(error)),
            }
            let mut byte = Zeroizing::new([0]);
            let read = terminal.read(&mut *byte);
            let [one] = &*byte;
            match read {
                Ok(0) => break Next::Interrupt,
                Ok(_) => match key(*one, &mut line) {
                    Next::More => {}
                    end => break end,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        };
        let end = match end {
            // While nothing is echoed, and before the shell would run it.
            Next::Line if pasted(&mut terminal).map_err(broken)? => Next::Several,
            end => end,
        };
        drop(silent);
        drop(ended);
        terminal.write_all(b"\n").map_err(broken)?;
        match end {
            Next::Done | Next::Line | Next::More => Ok(line),
            Next::Interrupt => Err(Failure::new(Exit::Interrupted, "interrupted; nothing was changed")),
            Next::Signal(signal) => {
                let _ = terminal.write_all(b"ended by a signal; nothing was changed\n");
                // A parent sees which signal it was. It returns where the signal cannot end the
                // program.
                let _ = emulate_default_handler(signal);
                Err(Failure::said(Exit::Terminated))
            }
            Next::TooLong => Err(Failure::usage("that is too long to be typed").hint("give it as a file")),
            Next::Unknown => Err(Failure::usage("a key was typed that is no text, such as an arrow").hint(
                "only backspace and Ctrl-U edit the line; what is no text is given as a file, or on stdin",
            )),
            Next::Several => {
                Err(Failure::usage("that has more than one line, and only the first would be taken")
                    .hint("give it as a file, or on stdin"))
            }
        }
    }

    /// Whether something follows a line as quickly as nobody types. It is thrown away.
    fn pasted(terminal: &mut File) -> io::Result<bool> {
        const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let (mut more, mut rest) = (false, Zeroizing::new([0; 4_096]));
        loop {
            let mut waited = [PollFd::new(&*terminal, PollFlags::IN)];
            match poll(&mut waited, Some(&AT_ONCE)) {
                Ok(0) => return Ok(more),
                Ok(_) => match terminal.read(&mut *rest) {
                    Ok(0) => return Ok(more),
                    Ok(_) => more = true,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                },
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A line, edited as in a terminal.
    pub(super) fn edit(byte: u8, line: &mut Vec<u8>) -> Next {
        match byte {
            INTERRUPT => return Next::Interrupt,
            END if line.is_empty() => return Next::Interrupt,
            b'\r' | b'\n' | END => return Next::Line,
            KILL => line.clear(),
            byte if BACKSPACE.contains(&byte) => {
                // The bytes of a character after its first one are 10xxxxxx.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if byte < b' ' && byte != b'\t' => return Next::Unknown,
            byte if line.len() < MAX_LEN => line.push(byte),
            _ => return Next::TooLong,
        }
        Next::More
    }

    /// The signals that end a program, caught while a terminal is silent: its echo must come back
    /// first.
    struct Ended {
        /// A byte comes with each.
        signals: Vec<(i32, UnixStream)>,
        handlers: Vec<SigId>,
    }

    impl Ended {
        fn listen() -> io::Result<Self> {
            let mut ended = Self { signals: Vec::new(), handlers: Vec::new() };
            let signals = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].into_iter();
            for signal in signals.filter(|one| !blocking::is_ignored(*one)) {
                let (come, handler) = UnixStream::pair()?;
                ended.handlers.push(pipe::register(signal.as_raw(), handler)?);
                ended.signals.push((signal.as_raw(), come));
            }
            Ok(ended)
        }

        /// Waits for a key, or for such a signal, which it returns.
        fn before(&self, terminal: &File) -> io::Result<Option<i32>> {
            let files = self.signals.iter().map(|(_, come)| come.as_fd()).chain([terminal.as_fd()]);
            let mut waited: Vec<_> =
                files.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)).collect();
            match poll(&mut waited, None) {
                Ok(_) => {
                    let mut polled = self.signals.iter().zip(&waited);
                    Ok(polled.find_map(|((signal, _), file)| (!file.revents().is_empty()).then_some(*signal)))
                }
                Err(rustix::io::Errno::INTR) => self.before(terminal),
                Err(error) => Err(error.into()),
            }
        }
    }

    impl Drop for Ended {
        fn drop(&mut self) {
            for handler in self.handlers.drain(..) {
                unregister(handler);
            }
        }
    }

    /// A terminal without echo, until it is dropped. Ctrl-C is a key then, and no signal: the echo
    /// comes back first.
    struct Silent {
        terminal: File,
        before: Termios,
    }

    impl Silent {
        fn begin(terminal: File) -> io::Result<Self> {
            let before = termios::tcgetattr(&terminal)?;
            let mut silent = before.clone();
            silent.local_modes -=
                LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
            silent.special_codes[SpecialCodeIndex::VMIN] = 1;
            silent.special_codes[SpecialCodeIndex::VTIME] = 0;
            // What was typed before the question is no answer to it.
            termios::tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
            Ok(Self { terminal, before })
        }
    }

    impl Drop for Silent {
        fn drop(&mut self) {
            // There is nobody to tell, and `stty sane` helps.
            let _ = termios::tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn typed(keys: &[u8]) -> Option<Vec<u8>> {
            let mut line = Vec::new();
            for key in keys {
                match edit(*key, &mut line) {
                    Next::More => {}
                    Next::Line => return Some(line),
                    _ => return None,
                }
            }
            panic!("it waits for more")
        }

        #[test]
        fn a_line_is_edited_as_in_a_terminal() {
            assert_eq!(typed(b"ab\x7fc\r").unwrap(), b"ac");
            assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
            assert_eq!(typed("aä\x08\n".as_bytes()).unwrap(), b"a");
            assert_eq!(typed(b"\x7f\x7fa\n").unwrap(), b"a");
            assert_eq!(typed(b"end\x04").unwrap(), b"end");
            for given_up in [&b"ab\x03"[..], b"\x04", b"ab\x1b[D\r", b"\x00\r"] {
                assert!(typed(given_up).is_none());
            }
            assert!(typed(&vec![b'x'; MAX_LEN + 1]).is_none());
        }
    }
}

#[cfg(not(unix))]
mod tty {
    use cred_core::Zeroizing;

    use crate::failure::Failure;

    pub(super) const INTERRUPT: u8 = 3;

    pub(super) enum Next {
        Done,
        Interrupt,
    }

    pub(super) fn edit(_: u8, _: &mut Vec<u8>) -> Next {
        Next::Interrupt
    }

    pub(super) fn ask(
        _: &str,
        _: impl FnMut(u8, &mut Vec<u8>) -> Next,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Err(Failure::usage("this system's terminals cannot be asked yet")
            .hint("give it on stdin, or as a file"))
    }
}
