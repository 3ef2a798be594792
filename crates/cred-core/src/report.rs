//! The `Debug` of errors.

use std::error::Error;
use std::fmt;

/// Writes the message of an error, and those of its causes below `Caused by:`: the `Debug` of every
/// error of these crates. A `main` that returns `Result<(), Box<dyn Error>>`, `unwrap` and `expect`
/// print the `Debug` of an error, and so print what failed and what to do.
///
/// Causes are written by their `Display`: the `Debug` of a foreign error may contain a secret.
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
/// Those of the formatter.
pub fn fmt_report(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    if cause.is_some() {
        f.write_str("\n\nCaused by:")?;
    }
    while let Some(error) = cause {
        write!(f, "\n    {error}")?;
        cause = error.source();
    }
    Ok(())
}
