//! Everything that `tracing` writes, as text.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A captured log: events, and the beginning and end of every span.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures what every thread logs from now on. One test per process can do this.
    #[must_use]
    pub fn of_process() -> Self {
        let log = Self::default();
        tracing::subscriber::set_global_default(log.subscriber(Level::TRACE)).unwrap();
        log
    }

    /// Captures what this thread logs, down to `level`, until [`Listening`] is dropped.
    #[must_use]
    pub fn of_thread(level: Level) -> (Self, Listening) {
        let log = Self::default();
        // With one dispatcher, tracing asks the thread that first reaches a span whether anything
        // listens, and remembers the answer; in a test program that may be another test's thread,
        // where nothing listens. With two, it asks both.
        let second = Dispatch::new(NoSubscriber::default());
        let first = tracing::subscriber::set_default(log.subscriber(level));
        (log, Listening { _first: first, _second: second })
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn subscriber(&self, level: Level) -> impl Subscriber + Send + Sync + use<> {
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(self.clone());
        // Another crate of the build, such as loom, may enable the feature for colors.
        subscriber.with_ansi(false).with_span_events(FmtSpan::FULL).finish()
    }
}

/// The length, for the text may hold the secrets that a test looks for.
impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("len", &self.text().len()).finish_non_exhaustive()
    }
}

/// Captures while it lives.
#[derive(Debug)]
pub struct Listening {
    _first: DefaultGuard,
    _second: Dispatch,
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
