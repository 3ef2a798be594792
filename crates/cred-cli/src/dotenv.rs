//! `.env` files, in the subset that sh, `node --env-file`, npm's dotenv and python-dotenv read the
//! same. Anything that one of the four reads differently is rejected, for reading and for writing.

use cred_core::Zeroizing;

use crate::failure::Failure;
use crate::variable;

/// One variable of a file.
pub(crate) struct Assignment {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) value: Zeroizing<String>,
}

/// Why a line is rejected.
struct Refusal {
    /// Bytes from the rejected place to the end of the file.
    left: usize,
    problem: &'static str,
    hint: String,
}

/// Decodes the text of a file, without the byte order mark that some editors write.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_at(bytes, error.valid_up_to());
        Failure::usage(format!("line {line} of the file is not UTF-8 text"))
            .hint("save the file as UTF-8, or store the value with `cred set --file`")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Variables and their values, in the order of the file.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Assignment>, Failure> {
    let text = text(bytes)?;
    let (mut rest, mut line, mut assignments) = (text, 1, Vec::new());
    while !rest.is_empty() {
        let (found, after) = entry(rest).map_err(|refusal| {
            let line = line_at(text.as_bytes(), text.len() - refusal.left);
            Failure::usage(format!("line {line} of the .env file {}", refusal.problem)).hint(refusal.hint)
        })?;
        if let Some((name, value)) = found {
            let (name, value) = (name.to_owned(), Zeroizing::new(value.to_owned()));
            assignments.push(Assignment { line, name, value });
        }
        line += rest.bytes().take(rest.len() - after.len()).filter(|byte| *byte == b'\n').count();
        rest = after;
    }
    Ok(assignments)
}

fn line_at(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// The variable of the first line, if it has one, and the rest of the text. A quoted value may span
/// several lines.
type Entry<'t> = (Option<(&'t str, &'t str)>, &'t str);

fn entry(text: &str) -> Result<Entry<'_>, Refusal> {
    let refuse = |problem, hint: &str| Err(Refusal { left: text.len(), problem, hint: hint.to_owned() });
    let (line, after) = first_line(text);
    if line.is_empty() || line.starts_with('#') {
        comment(line, text.len())?;
        return Ok((None, after));
    }
    let body = line.trim_start_matches(' ');
    if body.trim_start().is_empty() || body.trim_start().starts_with('#') {
        return refuse(
            "is blank or a comment and starts with spaces, so `node --env-file` skips the variable after it",
            "remove the spaces at the start of the line",
        );
    }
    let body = body.strip_prefix("export ").unwrap_or(body);
    let Some((name, value)) = body.split_once('=').filter(|(name, _)| variable::is_name(name)) else {
        return refuse(
            "does not start with NAME=",
            "write NAME=value without spaces around the `=`, optionally after `export` and one space; a name consists of letters, digits and `_`, and does not start with a digit",
        );
    };
    match value.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let content = text.get(line.len() - value.len() + quote.len_utf8()..).unwrap_or_default();
            let Some((value, tail)) = content.split_once(quote) else {
                return refuse(
                    "has an opening quote without a closing one",
                    "close it, or use the other kind of quotes",
                );
            };
            if let Some((at, problem, hint)) = misread(quote, value) {
                return Err(Refusal { left: content.len() - at, problem, hint: hint.to_owned() });
            }
            let (end, after) = first_line(tail);
            let is_comment = end.trim_start_matches([' ', '\t']).starts_with('#');
            if end.starts_with('#') || !(is_comment || end.trim_matches([' ', '\t']).is_empty()) {
                let hint = "put the whole value in one pair of quotes, and a space before a comment";
                return Err(Refusal {
                    left: tail.len(),
                    problem: "has text after the closing quote",
                    hint: hint.to_owned(),
                });
            }
            comment(end, tail.len())?;
            Ok((Some((name, value)), after))
        }
        _ => {
            let (value, note) = value.find(" #").map_or((value, ""), |at| value.split_at(at));
            comment(note, text.len())?;
            let value = value.trim_end_matches(' ');
            match unquoted(value, line.trim_start_matches(' ') != body) {
                None => Ok((Some((name, value)), after)),
                Some(problem) => Err(Refusal { left: text.len(), problem, hint: quoting_hint(value) }),
            }
        }
    }
}

/// The first line without its line end, and the text after it.
fn first_line(text: &str) -> (&str, &str) {
    match text.split_once('\n') {
        Some((line, after)) => (line.strip_suffix('\r').unwrap_or(line), after),
        None => (text, ""),
    }
}

/// Rejects characters that end a comment early for some readers.
fn comment(text: &str, left: usize) -> Result<(), Refusal> {
    match text.contains(['\r', '\u{2028}', '\u{2029}']) {
        true => Err(Refusal {
            left,
            problem: "has a comment with a line end that only some programs recognize",
            hint: "end lines with LF or CR LF".to_owned(),
        }),
        false => Ok(()),
    }
}

/// The first character of an unquoted value that some reader does not take literally: the problem.
fn unquoted(value: &str, is_exported: bool) -> Option<&'static str> {
    let mut before = ':';
    value.chars().find_map(|letter| {
        let problem = match letter {
            ' ' | '\t' => Some("has a value with spaces and without quotes"),
            '\'' | '"' | '`' => Some("has quotes that do not enclose the whole value"),
            '\\' => Some("has a backslash in a value without quotes"),
            '$' => Some("has a `$` in a value without quotes, which some programs expand as a variable"),
            '#' => Some("has a `#` in a value without quotes, which starts a comment in some programs"),
            '&' | '|' | ';' | '<' | '>' | '(' | ')' => {
                Some("has a shell metacharacter in a value without quotes")
            }
            '~' if matches!(before, ':' | '=') => Some("has a `~` that a shell expands to a home folder"),
            '{' if is_exported => {
                Some("has a `{` in a value without quotes, which some shells expand after `export`")
            }
            _ if letter.is_control() || letter.is_whitespace() || letter == '\u{feff}' => {
                Some("has an invisible character in a value without quotes")
            }
            _ => None,
        };
        before = letter;
        problem
    })
}

/// The first place in a quoted value that some reader does not take literally: its position, the
/// problem, and a hint.
fn misread(quote: char, text: &str) -> Option<(usize, &'static str, &'static str)> {
    const NEITHER: &str = "store the value with `cred set --file`, or import it as JSON";
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        let (problem, hint) = match (quote, letter, next) {
            (_, '\0', _) => ("has a NUL character, which a variable cannot hold", NEITHER),
            (_, '\r', _) => (
                "has a carriage return inside quotes, which most programs drop or replace",
                "end the lines of the file with LF only",
            ),
            (_, '$', Some('{')) => ("has a `${`, which python-dotenv expands even in single quotes", NEITHER),
            ('"', '$', _) => (
                "has a `$` in double quotes, which some programs expand as a variable",
                "put the value in single quotes",
            ),
            ('"', '`', _) => {
                ("has a backtick in double quotes, which a shell executes", "put the value in single quotes")
            }
            ('\'', '\\', None | Some('\\')) => (
                "has a backslash before another backslash or before the closing quote, which python-dotenv drops",
                NEITHER,
            ),
            (
                '"',
                '\\',
                None | Some('\\' | '\'' | '$' | '`' | '\n' | 'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v'),
            ) => (
                "has an escape sequence in double quotes, which some programs replace and others keep",
                "write a literal line break in place of `\\n`, and put a value with a backslash in single quotes",
            ),
            _ => continue,
        };
        return Some((at, problem, hint));
    }
    None
}

/// The kind of quotes in which all readers take a value literally, if there is one.
fn quotes(value: &str) -> Option<char> {
    ['\'', '"'].into_iter().find(|quote| !value.contains(*quote) && misread(*quote, value).is_none())
}

fn quoting_hint(value: &str) -> String {
    let advice = match quotes(value) {
        Some('\'') => "put the value in single quotes",
        Some(_) => "put the value in double quotes",
        None => "neither kind of quotes works: store the value with `cred set --file`, or import it as JSON",
    };
    format!("{advice}; for a file in the format of `docker run --env-file`, pass --format docker")
}

/// Writes a line that all readers read the same, or returns why the value cannot be written.
pub(crate) fn write(name: &str, value: &str, to: &mut Zeroizing<Vec<u8>>) -> Result<(), &'static str> {
    let Some(quote) = quotes(value) else {
        let reason = misread('\'', value).map(|(_, problem, _)| problem);
        return Err(
            reason.unwrap_or("has a single quote next to a character that double quotes do not protect")
        );
    };
    let mut buffer = [0; 4];
    let quote = quote.encode_utf8(&mut buffer).as_bytes();
    for part in [name.as_bytes(), b"=", quote, value.as_bytes(), quote, b"\n"] {
        to.extend_from_slice(part);
    }
    Ok(())
}

/// Number of bytes that [`write()`] adds.
pub(crate) fn len(name: &str, value: &str) -> usize {
    name.len() + value.len() + 4
}

#[cfg(test)]
mod tests;
