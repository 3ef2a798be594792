//! `.env` files, as far as sh, `node --env-file`, npm's dotenv and python-dotenv read the same from
//! them. Whatever one of the four reads differently is refused, in both directions.

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

/// Why a line is refused.
struct Refusal {
    /// Bytes of the file from the refused place on.
    left: usize,
    what: &'static str,
    hint: String,
}

/// The text of a file, without the byte order mark that some editors write.
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
            Failure::usage(format!("line {line} of the .env file {}", refusal.what)).hint(refusal.hint)
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

/// The first line, with the lines that its quotes span: its variable, if it has one, and the rest.
type Entry<'t> = (Option<(&'t str, &'t str)>, &'t str);

fn entry(text: &str) -> Result<Entry<'_>, Refusal> {
    let refuse = |what, hint: &str| Err(Refusal { left: text.len(), what, hint: hint.to_owned() });
    let (line, after) = first_line(text);
    if line.is_empty() || line.starts_with('#') {
        comment(line, text.len())?;
        return Ok((None, after));
    }
    let body = line.trim_start_matches(' ');
    if body.trim_start().is_empty() || body.trim_start().starts_with('#') {
        return refuse(
            "is blank or a comment but begins with spaces, and `node --env-file` loses the variable after it",
            "remove the spaces at the start of the line",
        );
    }
    let body = body.strip_prefix("export ").unwrap_or(body);
    let Some((name, value)) = body.split_once('=').filter(|(name, _)| variable::is_name(name)) else {
        return refuse(
            "does not begin with NAME=",
            "write NAME=value, without spaces around the `=`, or with `export` and one space before it; a name has letters, digits and _, and does not begin with a digit",
        );
    };
    match value.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let content = text.get(line.len() - value.len() + quote.len_utf8()..).unwrap_or_default();
            let Some((value, tail)) = content.split_once(quote) else {
                return refuse(
                    "opens a quote that is not closed",
                    "close it, or put the value in other quotes",
                );
            };
            if let Some((at, what, hint)) = misread(quote, value) {
                return Err(Refusal { left: content.len() - at, what, hint: hint.to_owned() });
            }
            let (end, after) = first_line(tail);
            let is_comment = end.trim_start_matches([' ', '\t']).starts_with('#');
            if end.starts_with('#') || !(is_comment || end.trim_matches([' ', '\t']).is_empty()) {
                let hint = "put the whole value in one pair of quotes, and a space before a comment";
                return Err(Refusal {
                    left: tail.len(),
                    what: "has text after the closing quote",
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
                Some(what) => Err(Refusal { left: text.len(), what, hint: quoting_hint(value) }),
            }
        }
    }
}

/// A line without its end, and what follows.
fn first_line(text: &str) -> (&str, &str) {
    match text.split_once('\n') {
        Some((line, after)) => (line.strip_suffix('\r').unwrap_or(line), after),
        None => (text, ""),
    }
}

/// Refuses what ends a comment early for some readers.
fn comment(text: &str, left: usize) -> Result<(), Refusal> {
    match text.contains(['\r', '\u{2028}', '\u{2029}']) {
        true => Err(Refusal {
            left,
            what: "has a line end inside a comment that only some programs know",
            hint: "let lines end in LF or CR LF".to_owned(),
        }),
        false => Ok(()),
    }
}

/// What an unquoted value has that a reader takes for something else than itself.
fn unquoted(value: &str, is_exported: bool) -> Option<&'static str> {
    let mut before = ':';
    value.chars().find_map(|letter| {
        let what = match letter {
            ' ' | '\t' => Some("has a value with spaces and no quotes"),
            '\'' | '"' | '`' => Some("has quotes that do not enclose the whole value"),
            '\\' => Some("has a backslash in a value without quotes"),
            '$' => Some("has a `$` in a value without quotes, which some programs replace by a variable"),
            '#' => Some("has a `#` in a value without quotes, where a comment begins for some programs"),
            '&' | '|' | ';' | '<' | '>' | '(' | ')' => {
                Some("has a character of the shell in a value without quotes")
            }
            '~' if matches!(before, ':' | '=') => Some("has a `~` that a shell replaces by a folder"),
            '{' if is_exported => {
                Some("has a `{` in a value without quotes, which some shells expand after `export`")
            }
            _ if letter.is_control() || letter.is_whitespace() || letter == '\u{feff}' => {
                Some("has an invisible character in a value without quotes")
            }
            _ => None,
        };
        before = letter;
        what
    })
}

/// Where the readers disagree on what is between two quotes: the place, the reason, and what helps.
fn misread(quote: char, text: &str) -> Option<(usize, &'static str, &'static str)> {
    const NEITHER: &str = "store the value with `cred set --file`, or import it as JSON";
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        let (what, hint) = match (quote, letter, next) {
            (_, '\0', _) => ("has a NUL character, which a variable cannot hold", NEITHER),
            (_, '\r', _) => (
                "has a carriage return inside quotes, which most programs drop or replace",
                "let the lines of the file end in LF alone",
            ),
            (_, '$', Some('{')) => {
                ("has a `${`, which python-dotenv replaces even in single quotes", NEITHER)
            }
            ('"', '$', _) => (
                "has a `$` in double quotes, which some programs replace by a variable",
                "put the value in single quotes",
            ),
            ('"', '`', _) => {
                ("has a backtick in double quotes, which a shell executes", "put the value in single quotes")
            }
            ('\'', '\\', None | Some('\\')) => (
                "has a backslash before another one or before the closing quote, which python-dotenv drops",
                NEITHER,
            ),
            (
                '"',
                '\\',
                None | Some('\\' | '\'' | '$' | '`' | '\n' | 'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v'),
            ) => (
                "has a backslash in double quotes that some programs replace and others keep",
                "write a line end as a line end, and put a value with a backslash in single quotes",
            ),
            _ => continue,
        };
        return Some((at, what, hint));
    }
    None
}

/// The quotes in which all readers take a value literally.
fn quotes(value: &str) -> Option<char> {
    ['\'', '"'].into_iter().find(|quote| !value.contains(*quote) && misread(*quote, value).is_none())
}

fn quoting_hint(value: &str) -> String {
    let how = match quotes(value) {
        Some('\'') => "put the value in single quotes",
        Some(_) => "put the value in double quotes",
        None => "no quotes help, so store the value with `cred set --file`, or import it as JSON",
    };
    format!("{how}; --format docker reads a file for `docker run --env-file`, where every character counts")
}

/// Writes a line that all readers read the same, or returns why none can be written.
pub(crate) fn write(name: &str, value: &str, to: &mut Zeroizing<Vec<u8>>) -> Result<(), &'static str> {
    let Some(quote) = quotes(value) else {
        let reason = misread('\'', value).map(|(_, what, _)| what);
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

/// Bytes that [`write()`] adds.
pub(crate) fn len(name: &str, value: &str) -> usize {
    name.len() + value.len() + 4
}

#[cfg(test)]
mod tests;
