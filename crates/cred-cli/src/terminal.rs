//! Prompts on the terminal: hidden input, and confirmations.

use std::io::IsTerminal as _;

use cred_core::Zeroizing;

use crate::failure::Failure;

/// Maximum length of an answer, in bytes.
const MAX_LEN: usize = 64 * 1_024;

/// Whether printed values would be visible.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether the user can be prompted. With a pipe on stdin, input comes from the pipe.
pub(crate) fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Prompts for a secret on the terminal, without echo. Blocks.
pub(crate) fn prompt_hidden(question: &str) -> Result<Zeroizing<String>, Failure> {
    let answer = tty::ask(question, tty::edit_line)?;
    match std::str::from_utf8(&answer) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            Err(Failure::usage("the typed text is not valid UTF-8")
                .hint("pass the value as a file, with --file"))
        }
    }
}

/// Asks for confirmation: `y` or `Y` confirms, Ctrl-C interrupts, any other key does not. Blocks.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    let answer = tty::ask(&format!("{question} [y/N] "), |byte, line| match byte {
        tty::INTERRUPT => tty::KeyAction::Interrupt,
        _ => {
            line.push(byte);
            tty::KeyAction::Done
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

    /// The effect of a key.
    pub(super) enum KeyAction {
        More,
        /// The key is the answer.
        Done,
        /// The key ends the line, which is the answer.
        Line,
        Interrupt,
        /// This signal arrived. It ends the program once the echo is restored.
        Signal(i32),
        TooLong,
        /// The key is neither text nor an editing key.
        Unknown,
        /// More input follows the line at once: it was pasted.
        SeveralLines,
    }

    /// Prompts on the controlling terminal, even if stdin and stdout are redirected.
    pub(super) fn ask(
        question: &str,
        mut key: impl FnMut(u8, &mut Vec<u8>) -> KeyAction,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let broken = |error: io::Error| Failure::usage("could not read from the terminal").caused_by(error);
        let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|error| {
            Failure::usage("cannot prompt: this process has no terminal")
                .hint("pass the value on stdin, or with --file")
                .caused_by(error)
        })?;
        // First, because a signal between the two would leave the echo off.
        let signals = SignalWatch::start().map_err(broken)?;
        let echo_off = EchoOff::start(terminal.try_clone().map_err(broken)?).map_err(broken)?;
        terminal.write_all(question.as_bytes()).map_err(broken)?;
        // At full capacity from the start: a growing buffer leaves copies in freed memory.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        let end = loop {
            match signals.wait_for_input(&terminal) {
                Ok(None) => {}
                Ok(Some(signal)) => break KeyAction::Signal(signal),
                Err(error) => return Err(broken(error)),
            }
            let mut byte = Zeroizing::new([0]);
            let read = terminal.read(&mut *byte);
            let [one] = &*byte;
            match read {
                Ok(0) => break KeyAction::Interrupt,
                Ok(_) => match key(*one, &mut line) {
                    KeyAction::More => {}
                    end => break end,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        };
        let end = match end {
            // Before the echo is restored: otherwise the shell would run the pasted lines.
            KeyAction::Line if discard_pasted(&mut terminal).map_err(broken)? => KeyAction::SeveralLines,
            end => end,
        };
        drop(echo_off);
        drop(signals);
        terminal.write_all(b"\n").map_err(broken)?;
        match end {
            KeyAction::Done | KeyAction::Line | KeyAction::More => Ok(line),
            KeyAction::Interrupt => Err(Failure::new(Exit::Interrupted, "interrupted; nothing was changed")),
            KeyAction::Signal(signal) => {
                let _ = terminal.write_all(b"interrupted by a signal; nothing was changed\n");
                // The parent process sees which signal it was. This returns if the signal cannot
                // end the program.
                let _ = emulate_default_handler(signal);
                Err(Failure::silent(Exit::Terminated))
            }
            KeyAction::TooLong => Err(Failure::usage("the typed text is longer than 64 KiB")
                .hint("pass the value on stdin, or with --file")),
            KeyAction::Unknown => Err(Failure::usage(
                "a key was pressed that is not text, such as an arrow key",
            )
            .hint("only Backspace and Ctrl-U edit the line; pass other values on stdin, or with --file")),
            KeyAction::SeveralLines => {
                Err(Failure::usage("several lines were pasted, and a prompt reads only one line")
                    .hint("pass the value on stdin, or with --file"))
            }
        }
    }

    /// Whether more input follows a line faster than typing, which means that it was pasted.
    /// Discards that input.
    fn discard_pasted(terminal: &mut File) -> io::Result<bool> {
        const PASTE_GAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let (mut more, mut rest) = (false, Zeroizing::new([0; 4_096]));
        loop {
            let mut waited = [PollFd::new(&*terminal, PollFlags::IN)];
            match poll(&mut waited, Some(&PASTE_GAP)) {
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

    /// Handles a key as a terminal in line mode does.
    pub(super) fn edit_line(byte: u8, line: &mut Vec<u8>) -> KeyAction {
        match byte {
            INTERRUPT => return KeyAction::Interrupt,
            END if line.is_empty() => return KeyAction::Interrupt,
            b'\r' | b'\n' | END => return KeyAction::Line,
            KILL => line.clear(),
            byte if BACKSPACE.contains(&byte) => {
                // The bytes of a character after its first one are 10xxxxxx.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if byte < b' ' && byte != b'\t' => return KeyAction::Unknown,
            byte if line.len() < MAX_LEN => line.push(byte),
            _ => return KeyAction::TooLong,
        }
        KeyAction::More
    }

    /// Catches the signals that end a program while the echo is off, because the echo must be
    /// restored first.
    struct SignalWatch {
        /// The handler of each signal writes a byte.
        signals: Vec<(i32, UnixStream)>,
        handlers: Vec<SigId>,
    }

    impl SignalWatch {
        fn start() -> io::Result<Self> {
            let mut watch = Self { signals: Vec::new(), handlers: Vec::new() };
            let signals = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].into_iter();
            for signal in signals.filter(|one| !blocking::is_ignored(*one)) {
                let (receiver, handler) = UnixStream::pair()?;
                watch.handlers.push(pipe::register(signal.as_raw(), handler)?);
                watch.signals.push((signal.as_raw(), receiver));
            }
            Ok(watch)
        }

        /// Waits for a key, or for one of the signals, which it returns.
        fn wait_for_input(&self, terminal: &File) -> io::Result<Option<i32>> {
            let files = self.signals.iter().map(|(_, receiver)| receiver.as_fd()).chain([terminal.as_fd()]);
            let mut waited: Vec<_> =
                files.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)).collect();
            match poll(&mut waited, None) {
                Ok(_) => {
                    let mut polled = self.signals.iter().zip(&waited);
                    Ok(polled.find_map(|((signal, _), file)| (!file.revents().is_empty()).then_some(*signal)))
                }
                Err(rustix::io::Errno::INTR) => self.wait_for_input(terminal),
                Err(error) => Err(error.into()),
            }
        }
    }

    impl Drop for SignalWatch {
        fn drop(&mut self) {
            for handler in self.handlers.drain(..) {
                unregister(handler);
            }
        }
    }

    /// Turns the echo off until it is dropped. Meanwhile Ctrl-C is a key and not a signal, so that
    /// the echo can be restored first.
    struct EchoOff {
        terminal: File,
        before: Termios,
    }

    impl EchoOff {
        fn start(terminal: File) -> io::Result<Self> {
            let before = termios::tcgetattr(&terminal)?;
            let mut silent = before.clone();
            silent.local_modes -=
                LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN;
            silent.special_codes[SpecialCodeIndex::VMIN] = 1;
            silent.special_codes[SpecialCodeIndex::VTIME] = 0;
            // Discards input that was typed before the prompt.
            termios::tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
            Ok(Self { terminal, before })
        }
    }

    impl Drop for EchoOff {
        fn drop(&mut self) {
            // Drop cannot report an error; `stty sane` restores the terminal.
            let _ = termios::tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn typed(keys: &[u8]) -> Option<Vec<u8>> {
            let mut line = Vec::new();
            for key in keys {
                match edit_line(*key, &mut line) {
                    KeyAction::More => {}
                    KeyAction::Line => return Some(line),
                    _ => return None,
                }
            }
            panic!("the line does not end")
        }

        #[test]
        fn a_line_is_edited_as_in_a_terminal() {
            assert_eq!(typed(b"ab\x7fc\r").unwrap(), b"ac");
            assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
            assert_eq!(typed("aä\x08\n".as_bytes()).unwrap(), b"a");
            assert_eq!(typed(b"\x7f\x7fa\n").unwrap(), b"a");
            assert_eq!(typed(b"end\x04").unwrap(), b"end");
            for rejected in [&b"ab\x03"[..], b"\x04", b"ab\x1b[D\r", b"\x00\r"] {
                assert!(typed(rejected).is_none());
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

    pub(super) enum KeyAction {
        Done,
        Interrupt,
    }

    pub(super) fn edit_line(_: u8, _: &mut Vec<u8>) -> KeyAction {
        KeyAction::Interrupt
    }

    pub(super) fn ask(
        _: &str,
        _: impl FnMut(u8, &mut Vec<u8>) -> KeyAction,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Err(Failure::usage("prompts are not supported on this system")
            .hint("pass the value on stdin, or with --file"))
    }
}
