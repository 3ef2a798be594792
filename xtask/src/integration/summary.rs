//! The table at the end: what was tested, against what, and how it went.

use crate::servers::Running;
use crate::table;
use crate::test::{Counts, Report};

/// One backend.
pub(super) struct Row {
    backend: &'static str,
    /// Each server with its version, and where it came from.
    servers: Vec<(String, String)>,
    excused: bool,
    counts: Counts,
}

#[derive(Default)]
pub(super) struct Summary {
    rows: Vec<Row>,
    untried: Vec<String>,
}

impl Row {
    pub(super) fn new(backend: &'static str) -> Self {
        let counts = Counts { passed: 0, failed: 0, not_offered: 0, skipped: 0 };
        Self { backend, servers: Vec::new(), excused: false, counts }
    }

    pub(super) fn server(&mut self, running: &Running) {
        self.servers.push((format!("{} {}", running.name, running.version), running.source.clone()));
    }

    pub(super) fn missing(&mut self, server: &str, allowed: bool) {
        let word = if allowed { "missing, as allowed" } else { "MISSING" };
        self.servers.push((server.to_owned(), word.to_owned()));
        self.excused |= allowed;
    }

    /// Whether a server was allowed to be missing, so that it is no wonder if no test ran.
    pub(super) fn is_excused(&self) -> bool {
        self.excused
    }

    /// A line for each server, the numbers on the first.
    fn lines(&self) -> Vec<[String; 7]> {
        let none = [("(none)".to_owned(), String::new())];
        let servers = if self.servers.is_empty() { &none[..] } else { &self.servers };
        let Counts { passed, failed, not_offered, skipped } = self.counts;
        let first = [passed, failed, not_offered, skipped].map(|number| number.to_string());
        let line = |(index, (server, source)): (usize, &(String, String))| {
            let blank = || (String::new(), <[String; 4]>::default());
            let (backend, numbers) =
                if index == 0 { (self.backend.to_owned(), first.clone()) } else { blank() };
            let [passed, failed, not_offered, skipped] = numbers;
            [backend, server.clone(), source.clone(), passed, failed, not_offered, skipped]
        };
        servers.iter().enumerate().map(line).collect()
    }
}

impl Summary {
    pub(super) fn add(&mut self, row: Row, report: &Report) {
        let row = Row { counts: report.counts(), ..row };
        let line = |(target, skip)| format!("  {} {target}: {skip}\n", row.backend);
        self.untried.extend(report.untried().map(line));
        self.rows.push(row);
    }

    pub(super) fn text(&self) -> String {
        let header = ["backend", "server", "from", "passed", "failed", "not offered", "skipped"];
        let rows: Vec<_> = self.rows.iter().flat_map(Row::lines).collect();
        let mut text = table::render(header, &[3, 4, 5, 6], &rows);
        if !self.untried.is_empty() {
            text += &format!("\nnot tried:\n{}", self.untried.concat());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_line_and_each_backend_its_numbers() {
        let mut vault = Row::new("vault");
        vault.servers.push(("vault 1.21.0".to_owned(), "cache".to_owned()));
        vault.missing("vault-tls", true);
        vault.counts = Counts { passed: 70, failed: 0, not_offered: 4, skipped: 2 };
        let summary = Summary { rows: vec![Row::new("local"), vault], untried: Vec::new() };
        let expected = "\
backend  server        from                 passed  failed  not offered  skipped
-------  ------------  -------------------  ------  ------  -----------  -------
local    (none)                                  0       0            0        0
vault    vault 1.21.0  cache                    70       0            4        2
         vault-tls     missing, as allowed
";
        assert_eq!(summary.text(), expected);
    }
}
