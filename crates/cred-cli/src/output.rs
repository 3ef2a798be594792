//! What is said, and where: results on stdout, all else on stderr.

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
use self::results::Results;
use crate::blocking;
use crate::escape::{escaped, escaped_json, is_active};
use crate::failure::{Exit, Failure};

/// Where signals come otherwise than with a byte that can be waited for, stdout is as it is.
#[cfg(not(unix))]
struct Results;

#[cfg(not(unix))]
impl Results {
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

/// How much is said, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// A result, in text: a line end is added.
    pub(crate) fn result(self, text: &str) -> Result<(), Failure> {
        let plain = AutoStream::choice(&io::stdout()) == ColorChoice::Never;
        let text = if plain { strip_str(text).to_string() } else { text.to_owned() };
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// A secret value for a person, on a terminal: control characters other than tabs and line ends
    /// are escaped, so that a value cannot forge what the screen shows.
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

    /// A value as it is.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        let written = Results::new().and_then(|mut out| {
            out.write_all(bytes)?;
            out.flush()
        });
        written.map_err(lost)
    }

    /// A result without secret values, as JSON.
    pub(crate) fn document(self, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(value).map_err(|error| lost(error.into()))?;
        self.bytes(format!("{}\n", escaped_json(&json)).as_bytes())
    }

    /// A result with secret values, as JSON. On its way to another program it is not collected in
    /// memory.
    pub(crate) fn secret_document(self, value: &impl Serialize) -> Result<(), Failure> {
        if io::stdout().is_terminal() {
            return self.document(value);
        }
        let written = Results::new().and_then(|mut out| {
            serde_json::to_writer_pretty(&mut out, value)?;
            out.write_all(b"\n")?;
            out.flush()
        });
        written.map_err(lost)
    }

    /// What was done, for people.
    pub(crate) fn say(self, text: impl AsRef<str>) {
        if !self.quiet && !self.json {
            // Whoever closed stderr does not want to know.
            let _ = writeln!(anstream::stderr(), "{}", escaped(text.as_ref()));
        }
    }

    /// What was left undone, for people, even if they asked for quiet; a document has it in a field
    /// of its own.
    pub(crate) fn left(self, text: impl AsRef<str>) {
        if !self.json {
            let _ = writeln!(anstream::stderr(), "  {}", escaped(text.as_ref()));
        }
    }

    /// What should be known even by who asked for quiet.
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
        if failure.is_quiet() {
            return;
        }
        let text = match self.json {
            true => escaped_json(&serde_json::to_string(&Told::of(failure, None)).unwrap_or_default()),
            false => text(failure),
        };
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// A bar for so many things, on a terminal.
    pub(crate) fn progress(self, what: &'static str, count: usize) -> Progress {
        let bar = ProgressBar::with_draw_target(u64::try_from(count).ok(), self.target());
        let template = "{prefix} [{bar:30}] {pos}/{len} {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what);
        Progress(bar)
    }

    /// A sign of life for work that cannot be counted, on a terminal.
    pub(crate) fn waiting(self, what: &'static str) -> Progress {
        let bar = ProgressBar::with_draw_target(None, self.target());
        bar.set_message(what);
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

/// A failure for other programs.
#[derive(Serialize)]
struct Told<'f> {
    /// Of one of many.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    error: String,
    causes: Vec<String>,
    hint: Option<&'f str>,
    /// What an untrusted file would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    effects: Option<&'f [String]>,
    code: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<Self>,
}

impl<'f> Told<'f> {
    fn of(failure: &'f Failure, path: Option<&CredentialPath>) -> Self {
        Self {
            path: path.map(ToString::to_string),
            error: failure.to_string(),
            causes: failure.causes(),
            hint: failure.hint_text(),
            effects: failure.effects(),
            code: failure.exit as u8,
            failures: failure.parts().iter().map(|(path, part)| Self::of(part, Some(path))).collect(),
        }
    }
}

/// A failure for people; what it is made of comes first.
fn text(failure: &Failure) -> String {
    let mut text: String = failure.parts().iter().map(|(_, part)| self::text(part) + "\n").collect();
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

/// A bar; it goes when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn set(&self, done: usize) {
        self.0.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }

    pub(crate) fn of(&self, count: usize) {
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

/// Whoever reads has gone, as `head` does: nobody is left to tell.
fn lost(error: io::Error) -> Failure {
    if let Some(exit) = blocking::ended(&error) {
        return Failure::new(exit, "interrupted, and not all of the output was read");
    }
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::said(Exit::Failed),
        _ => Failure::new(Exit::Failed, "the output could not be written").caused_by(error),
    }
}

/// `1 credential`, `2 credentials`.
pub(crate) fn credentials(count: usize) -> String {
    format!("{count} credential{}", if count == 1 { "" } else { "s" })
}

/// Columns, with a line between the header and the rows.
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
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows = [vec!["a".to_owned(), "long one".to_owned()], vec!["wide cell".to_owned(), String::new()]];
        let expected = "x          y\n---------  --------\na          long one\nwide cell";
        assert_eq!(table(&["x", "y"], &rows), expected);
    }
}
