//! A pseudo-terminal that runs the program.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::world::World;

const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Ends when no process has the terminal open.
    reader: JoinHandle<()>,
    /// The number of bytes that `expect` has consumed.
    seen: usize,
}

impl Terminal {
    pub(crate) fn start(world: &World, args: &[&str]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(24, 100)).unwrap();
        let command = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_cred"));
        let command =
            command.args(args).env_clear().envs(world.variables()).current_dir(world.path("project"));
        let child = command.spawn(pts).unwrap();
        let keyboard = File::from(OwnedFd::from(pty));
        let (mut reader, screen) = (keyboard.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let shown = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            // The end of the child causes a read error.
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                shown.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self { child, keyboard, screen, reader, seen: 0 }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let begin = Instant::now();
        loop {
            let screen = self.text();
            if let Some(at) = screen.get(self.seen..).and_then(|rest| rest.find(text)) {
                self.seen += at + text.len();
                return;
            }
            assert!(begin.elapsed() < TIMEOUT, "`{text}` did not appear: {screen:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The rest of the line after a text.
    #[track_caller]
    #[allow(dead_code, reason = "the other test program does not use it")]
    pub(crate) fn line_after(&mut self, text: &str) -> String {
        self.expect(text);
        let begin = self.seen;
        self.expect("\n");
        self.text()[begin..self.seen].trim().to_owned()
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    #[allow(dead_code, reason = "the other test program uses it")]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let child = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(child, signal).unwrap();
    }

    /// Whether typed text is echoed.
    pub(crate) fn echoes(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.keyboard).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    }

    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> String {
        let (status, text) = self.ended();
        assert_eq!(status.code(), Some(code), "{text:?}");
        text
    }

    #[track_caller]
    #[allow(dead_code, reason = "the other test program does not use it")]
    pub(crate) fn ends_by_signal(self, signal: rustix::process::Signal) {
        let (status, text) = self.ended();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{text:?}");
    }

    #[track_caller]
    fn ended(mut self) -> (std::process::ExitStatus, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < TIMEOUT, "the program does not end: {:?}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        };
        // The last output may not have been read yet.
        while !self.reader.is_finished() {
            assert!(begin.elapsed() < TIMEOUT, "the terminal is still in use: {:?}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = self.text();
        (status, text)
    }
}
