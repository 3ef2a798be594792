//! Captures the output of `tracing` as text.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A captured log: events, and the start and end of each span.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures the log of all threads from now on. Only one test per process can do this.
    #[must_use]
    pub fn of_process() -> Self {
        let log = Self::default();
        tracing::subscriber::set_global_default(log.subscriber(Level::TRACE)).unwrap();
        log
    }

    /// Captures the log of this thread, down to `level`, until [`Listening`] is dropped.
    #[must_use]
    pub fn of_thread(level: Level) -> (Self, Listening) {
        let log = Self::default();
        // With one dispatcher, the thread that first reaches a span decides whether it is enabled,
        // and tracing caches that. In a test program it may be the thread of another test, which
        // has no subscriber. With two dispatchers, tracing asks both.
        let second = Dispatch::new(NoSubscriber::default());
        let first = tracing::subscriber::set_default(log.subscriber(level));
        (log, Listening { _first: first, _second: second })
    }

    /// Returns the text so far.
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

/// Prints only the length, because the text may contain the secrets that a test looks for.
impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("len", &self.text().len()).finish_non_exhaustive()
    }
}

/// Captures the log until it is dropped.
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
