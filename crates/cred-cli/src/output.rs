//! Output: results on stdout, everything else on stderr.

#[cfg(unix)]
mod results;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use cred_core::{CredentialPath, Zeroizing};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

#[cfg(unix)]
use self::results::InterruptibleStdout;
use crate::blocking;
use crate::escape::{escaped, escaped_json, is_active};
use crate::failure::{Exit, Failure};

/// Plain stdout: on this system a wait for a pipe cannot be interrupted.
#[cfg(not(unix))]
struct InterruptibleStdout;

#[cfg(not(unix))]
impl InterruptibleStdout {
    #[allow(clippy::new_ret_no_self, reason = "it stands for stdout")]
    fn new() -> io::Result<io::Stdout> {
        Ok(io::stdout())
    }
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// The output settings: JSON or text, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints a text result, and adds a line end.
    pub(crate) fn result(self, text: &str) -> Result<(), Failure> {
        let plain = AutoStream::choice(&io::stdout()) == ColorChoice::Never;
        let text = if plain { strip_str(text).to_string() } else { text.to_owned() };
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints a secret value on a terminal. Control characters other than tabs and line ends are
    /// escaped, so that a value cannot forge terminal output.
    pub(crate) fn value(self, value: &[u8]) -> Result<(), Failure> {
        let mut shown = Zeroizing::new(Vec::with_capacity(value.len() * 8 + 1));
        for letter in String::from_utf8_lossy(value).chars() {
            if matches!(letter, '\n' | '\t') || !is_active(letter) {
                shown.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                shown.extend(letter.escape_unicode().map(|letter| u8::try_from(letter).unwrap_or(b'?')));
            }
        }
        shown.push(b'\n');
        self.bytes(&shown)
    }

    /// Prints bytes unchanged.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let written = InterruptibleStdout::new().and_then(|mut out| {
            out.write_all(bytes)?;
            out.flush()
        });
        written.map_err(output_failure)
    }

    /// Prints a result without secret values, as JSON.
    pub(crate) fn document(self, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(value).map_err(|error| output_failure(error.into()))?;
        self.bytes(format!("{}\n", escaped_json(&json)).as_bytes())
    }

    /// Prints a result with secret values, as JSON. To a pipe or a file it is streamed, not
    /// collected in memory.
    pub(crate) fn secret_document(self, value: &impl Serialize) -> Result<(), Failure> {
        if io::stdout().is_terminal() {
            return self.document(value);
        }
        let written = InterruptibleStdout::new().and_then(|mut out| {
            serde_json::to_writer_pretty(&mut out, value)?;
            out.write_all(b"\n")?;
            out.flush()
        });
        written.map_err(output_failure)
    }

    /// Prints a message for people, unless `--quiet` or `--json` is given.
    pub(crate) fn info(self, text: impl AsRef<str>) {
        if !self.quiet && !self.json {
            // A closed stderr is not an error.
            let _ = writeln!(anstream::stderr(), "{}", escaped(text.as_ref()));
        }
    }

    /// Prints work that was left undone, even with `--quiet`. A JSON document has its own field for
    /// it.
    pub(crate) fn undone(self, text: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "  {}", escaped(text.as_ref()));
        }
    }

    /// Prints a warning, even with `--quiet`.
    pub(crate) fn warn(self, text: impl AsRef<str>) {
        let text = text.as_ref();
        let _ = match self.json {
            true => {
                writeln!(
                    io::stderr(),
                    "{}",
                    escaped_json(&serde_json::json!({ "warning": text }).to_string())
                )
            }
            false => writeln!(anstream::stderr(), "{WARN}warning{WARN:#}: {}", escaped(text)),
        };
    }

    pub(crate) fn failure(self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        let text = match self.json {
            true => {
                escaped_json(&serde_json::to_string(&FailureDocument::new(failure, None)).unwrap_or_default())
            }
            false => failure_text(failure),
        };
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// Shows a progress bar with `count` steps, on a terminal.
    pub(crate) fn progress(self, label: &'static str, count: usize) -> Progress {
        let bar = ProgressBar::with_draw_target(u64::try_from(count).ok(), self.target());
        let template = "{prefix} [{bar:30}] {pos}/{len} {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(label);
        Progress(bar)
    }

    /// Shows a spinner for work of unknown size, on a terminal.
    pub(crate) fn waiting(self, label: &'static str) -> Progress {
        let bar = ProgressBar::with_draw_target(None, self.target());
        bar.set_message(label);
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }

    fn target(self) -> ProgressDrawTarget {
        match self.quiet || self.json || !io::stderr().is_terminal() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        }
    }
}

/// The JSON document of a failure.
#[derive(Serialize)]
struct FailureDocument<'f> {
    /// Set if this is one of several failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    error: String,
    causes: Vec<String>,
    hint: Option<&'f str>,
    /// The effects of an untrusted project file.
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<&'f [String]>,
    code: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Self>,
}

impl<'f> FailureDocument<'f> {
    fn new(failure: &'f Failure, path: Option<&CredentialPath>) -> Self {
        Self {
            path: path.map(ToString::to_string),
            error: failure.to_string(),
            causes: failure.causes(),
            hint: failure.hint_text(),
            effects: failure.effects(),
            code: failure.exit as u8,
            failures: failure.parts().iter().map(|(path, part)| Self::new(part, Some(path))).collect(),
        }
    }
}

/// The text of a failure, after those of its parts.
fn failure_text(failure: &Failure) -> String {
    let mut text: String = failure.parts().iter().map(|(_, part)| failure_text(part) + "\n").collect();
    let _ = write!(text, "{BAD}error{BAD:#}: {}", escaped(&failure.to_string()));
    if let Some(effects) = failure.effects() {
        text += "\n  it would use:";
        effects.iter().for_each(|effect| _ = write!(text, "\n    {}", escaped(effect)));
    }
    for cause in failure.causes() {
        let _ = write!(text, "\n  {DIM}because{DIM:#}: {}", escaped(&cause));
    }
    if let Some(hint) = failure.hint_text() {
        let _ = write!(text, "\n  {DIM}hint{DIM:#}: {}", escaped(hint));
    }
    text
}

/// A progress bar or spinner, removed on drop.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn set(&self, done: usize) {
        self.0.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }

    pub(crate) fn set_total(&self, count: usize) {
        self.0.set_length(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A failed write to stdout. If the reader is gone, as with `head`, there is nothing to report.
fn output_failure(error: io::Error) -> Failure {
    if let Some(exit) = blocking::signal_of(&error) {
        return Failure::new(exit, "interrupted before all of the output was written");
    }
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::BrokenPipe),
        _ => Failure::new(Exit::Failed, "could not write to stdout").caused_by(error),
    }
}

/// Formats a count: `1 credential`, `2 credentials`.
pub(crate) fn credentials(count: usize) -> String {
    format!("{count} credential{}", if count == 1 { "" } else { "s" })
}

/// Formats a table, with a line between the header and the rows.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let safe = |row: &Vec<String>| row.iter().map(|cell| escaped(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(safe).collect();
    let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut lines = vec![line(&mut header.iter().copied()), line(&mut rule.iter().map(String::as_str))];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "long one".to_owned()], vec!["wide cell".to_owned(), String::new()]];
        let expected = "x          y\n---------  --------\na          long one\nwide cell";
        assert_eq!(table(&["x", "y"], &rows), expected);
    }
}
