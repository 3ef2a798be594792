//! The table at the end: what was tested, against what, and how it went.

use std::fmt;

use crate::servers::Running;
use crate::table;
use crate::test::Report;

/// One backend.
pub(super) struct Row {
    backend: &'static str,
    pub(super) servers: Vec<Server>,
    excused: bool,
    counts: [usize; 4],
}

/// A server with its version, and where it came from.
pub(super) struct Server {
    name: String,
    source: String,
}

#[derive(Default)]
pub(super) struct Summary {
    rows: Vec<Row>,
    untried: String,
}

impl Row {
    pub(super) fn new(backend: &'static str) -> Self {
        Self { backend, servers: Vec::new(), excused: false, counts: [0; 4] }
    }

    pub(super) fn missing(&mut self, server: &str, allowed: bool) {
        let source = if allowed { "missing, as allowed" } else { "MISSING" };
        self.servers.push(Server { name: server.to_owned(), source: source.to_owned() });
        self.excused |= allowed;
    }

    /// Whether a server was allowed to be missing, so that no test needs to have run.
    pub(super) fn is_excused(&self) -> bool {
        self.excused
    }

    /// A line for each server, the numbers on the first.
    fn lines(&self) -> Vec<[String; 7]> {
        let none = [Server { name: "(none)".to_owned(), source: String::new() }];
        let servers = if self.servers.is_empty() { &none[..] } else { &self.servers };
        let line = |(index, server): (usize, &Server)| {
            let first = index == 0;
            let [passed, failed, not_offered, skipped] =
                self.counts.map(|number| if first { number.to_string() } else { String::new() });
            let backend = if first { self.backend.to_owned() } else { String::new() };
            [backend, server.name.clone(), server.source.clone(), passed, failed, not_offered, skipped]
        };
        servers.iter().enumerate().map(line).collect()
    }
}

impl Server {
    pub(super) fn of(running: &Running) -> Self {
        Self { name: format!("{} {}", running.name, running.version), source: running.source.clone() }
    }
}

impl Summary {
    pub(super) fn add(&mut self, mut row: Row, report: &Report) {
        row.counts = report.counts();
        for suite in report.suites() {
            for skip in suite.untried() {
                self.untried += &format!("  {} {}: {skip}\n", row.backend, suite.target);
            }
        }
        self.rows.push(row);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["backend", "server", "from", "passed", "failed", "not offered", "skipped"];
        let rows: Vec<_> = self.rows.iter().flat_map(Row::lines).collect();
        f.write_str(&table::render(header, &[3, 4, 5, 6], &rows))?;
        if self.untried.is_empty() { Ok(()) } else { write!(f, "\nnot tried:\n{}", self.untried) }
    }
}
