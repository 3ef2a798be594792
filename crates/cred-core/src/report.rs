//! The `Debug` of errors.

use std::error::Error;
use std::fmt::{self, Write as _};

/// Writes the message of an error, and the messages of its causes below `Caused by:`.
///
/// This is the `Debug` output of every error of these crates, because `unwrap`, `expect` and a
/// `main` that returns `Result<(), Box<dyn Error>>` print `Debug`. They so print what failed and
/// what to do.
///
/// Each cause is written by its `Display`, on one line and with control characters escaped: the
/// `Debug` of a foreign error may contain a secret.
///
/// ```
/// use std::error::Error;
/// use std::fmt;
///
/// struct Failed(std::io::Error);
///
/// impl fmt::Display for Failed {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         f.write_str("the key cannot be read; check the file")
///     }
/// }
///
/// impl fmt::Debug for Failed {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         cred_core::fmt_report(self, f)
///     }
/// }
///
/// impl Error for Failed {
///     fn source(&self) -> Option<&(dyn Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// let error = Failed(std::io::Error::other("the disk failed"));
/// let printed = "the key cannot be read; check the file\n\nCaused by:\n    the disk failed";
/// assert_eq!(format!("{error:?}"), printed);
/// ```
///
/// # Errors
/// Errors of the formatter.
pub fn fmt_report(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    if cause.is_some() {
        f.write_str("\n\nCaused by:")?;
    }
    while let Some(error) = cause {
        f.write_str("\n    ")?;
        write!(Escaped(f), "{error}")?;
        cause = error.source();
    }
    Ok(())
}

/// Escapes control characters, so that a foreign message cannot add lines to the report.
struct Escaped<'f, 'a>(&'f mut fmt::Formatter<'a>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| match c.is_control() {
            true => write!(self.0, "{}", c.escape_default()),
            false => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::sync::Arc;

    use crate::{StorageError, StorageErrorKind};

    #[test]
    fn every_cause_is_one_line() {
        let failed = |source: Arc<dyn Error + Send + Sync>| {
            StorageError::from(StorageErrorKind::NotFound).with_source(source)
        };
        let inner = failed(Arc::new(std::io::Error::other("first\nforged \u{1b}[2J")));
        let outer = failed(Arc::new(inner));
        let printed = format!("{outer:?}");
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines.len(), 5, "{printed}");
        assert_eq!(lines[4], r"    first\nforged \u{1b}[2J");
    }
}
