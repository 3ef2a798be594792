//! Files for `docker run --env-file` and `kubectl create --from-env-file`: NAME=value, where every
//! character after the `=` belongs to the value.

use cred_core::Zeroizing;

use crate::dotenv::{self, Assignment};
use crate::failure::Failure;
use crate::variable;

/// Both programs reject lines of this length or more.
const MAX_LINE: usize = 64 * 1_024;

/// Variables and their values, in the order of the file.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Assignment>, Failure> {
    let mut assignments = Vec::new();
    for (number, line) in dotenv::text(bytes)?.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let refuse = |problem: &str, hint: &str| {
            Err(Failure::usage(format!("line {number} of the file {problem}")).hint(hint))
        };
        let Some((name, value)) = line.split_once('=').filter(|(name, _)| variable::is_name(name)) else {
            return refuse(
                "does not start with NAME=",
                "write NAME=value, without spaces around the `=`; a name consists of letters, digits and `_`, and does not start with a digit",
            );
        };
        if value.contains(['\0', '\r']) {
            return refuse(
                "has a value with a carriage return or a NUL character",
                "store the value with `cred set --file`",
            );
        }
        let (name, value) = (name.to_owned(), Zeroizing::new(value.to_owned()));
        assignments.push(Assignment { line: number, name, value });
    }
    Ok(assignments)
}

/// Writes a line, or returns why the value cannot be written.
pub(crate) fn write(name: &str, value: &str, to: &mut Zeroizing<Vec<u8>>) -> Result<(), &'static str> {
    if value.contains(['\n', '\r']) {
        return Err("contains a line end");
    }
    if len(name, value) >= MAX_LINE {
        return Err("is too long: a line must be shorter than 64 KiB");
    }
    for part in [name.as_bytes(), b"=", value.as_bytes(), b"\n"] {
        to.extend_from_slice(part);
    }
    Ok(())
}

/// Number of bytes that [`write()`] adds.
pub(crate) fn len(name: &str, value: &str) -> usize {
    name.len() + value.len() + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_of_a_value_is_kept() {
        let text = "\u{feff}# note\n\nA={\"id\":\"a-1\"}\r\n  B='x' # y \nC=\n";
        let read: Vec<_> = read(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|one| (one.line, one.name, one.value.to_string()))
            .collect();
        let expected = [(3, "A", "{\"id\":\"a-1\"}"), (4, "B", "'x' # y "), (5, "C", "")];
        assert_eq!(read, expected.map(|(line, name, value)| (line, name.to_owned(), value.to_owned())));
    }

    #[test]
    fn an_error_names_the_line_and_does_not_repeat_it() {
        for line in ["hunter2", "A B=hunter2", "A =hunter2", "A=hunter2\rx"] {
            let failure = read(format!("X=1\n{line}\n").as_bytes()).err().unwrap();
            let text = format!("{failure} {:?}", failure.causes());
            assert!(text.starts_with("line 2 ") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_in_a_line_is_rejected() {
        let mut text = Zeroizing::new(Vec::new());
        assert!(write("A", "a\nb", &mut text).is_err() && write("A", "a\r", &mut text).is_err());
        assert!(write("A", &"x".repeat(MAX_LINE - 4), &mut text).is_ok());
        assert!(write("A", &"x".repeat(MAX_LINE - 3), &mut text).is_err());
    }
}
