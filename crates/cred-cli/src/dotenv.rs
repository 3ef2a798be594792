//! `.env` files, without surprises: what one reader would replace, another not, is refused.

use cred_core::{CredentialId, Zeroizing};

use crate::failure::Failure;

/// Variables and their values, in the order of the file.
pub(crate) fn read(text: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, Failure> {
    let text = std::str::from_utf8(text).map_err(|_| Failure::usage("the .env file is not UTF-8 text"))?;
    if let Some(line) = replaced(text) {
        return Err(Failure::usage(format!(
            "line {line} of the .env file has a `$`, which some programs replace by a variable and others do not"
        ))
        .hint("put the value in single quotes, or write \\$"));
    }
    let mut variables = Vec::new();
    for (number, entry) in dotenvy::from_read_iter(text.as_bytes()).enumerate() {
        let (name, value) = entry.map_err(|_| {
            // Its own message quotes the line.
            Failure::usage(format!("entry {} of the .env file is not NAME=value", number + 1))
                .hint("a value with spaces or quotes stands in single quotes")
        })?;
        variables.push((name, Zeroizing::new(value)));
    }
    Ok(variables)
}

/// The line of the first `$` that is neither in single quotes nor escaped nor in a comment.
fn replaced(text: &str) -> Option<usize> {
    let (mut line, mut quote, mut escaped, mut comment, mut before) = (1, None, false, false, '\n');
    for letter in text.chars() {
        match (letter, quote) {
            ('\n', _) => {
                line += 1;
                comment = false;
            }
            _ if comment => {}
            _ if escaped => {}
            ('$', None | Some('"')) => return Some(line),
            ('#', None) if before.is_whitespace() => comment = true,
            ('\'' | '"', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            _ => {}
        }
        escaped = letter == '\\' && !escaped && quote != Some('\'');
        before = letter;
    }
    None
}

/// A line that [`read`] and other readers take for the same.
pub(crate) fn write(name: &str, value: &str, to: &mut Zeroizing<Vec<u8>>) {
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"=");
    // Some readers take a backslash for an escape in single quotes too, at least before the closing one.
    if value.contains(['\'', '\n', '\r', '\\']) {
        to.push(b'"');
        for letter in value.chars() {
            match letter {
                '\n' => to.extend_from_slice(b"\\n"),
                '"' | '\\' | '$' => {
                    to.push(b'\\');
                    push(to, letter);
                }
                letter => push(to, letter),
            }
        }
        to.push(b'"');
    } else {
        to.push(b'\'');
        to.extend_from_slice(value.as_bytes());
        to.push(b'\'');
    }
    to.push(b'\n');
}

/// Bytes that [`write()`] adds at most.
pub(crate) fn len(name: &str, value: &str) -> usize {
    name.len() + value.len() * 2 + 4
}

fn push(to: &mut Vec<u8>, letter: char) {
    to.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The variable that an id becomes: `stripe-api-key` is `STRIPE_API_KEY`. `None`: it begins with a digit.
pub(crate) fn variable(id: &CredentialId) -> Option<String> {
    let name = id.as_str().to_ascii_uppercase().replace('-', "_");
    (!name.starts_with(|first: char| first.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        read(text.as_bytes()).unwrap().into_iter().map(|(_, value)| value.to_string()).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for value in [
            "",
            "plain",
            "with space",
            "it's",
            "a\"b",
            "$HOME",
            "'$HOME'",
            "line\nline",
            "back\\slash",
            "=\\",
            "# no comment",
            "ü",
            "it's \\ $5",
        ] {
            let mut text = Zeroizing::new(Vec::new());
            write("NAME", value, &mut text);
            assert!(text.len() <= len("NAME", value), "{value:?}");
            assert_eq!(values(std::str::from_utf8(&text).unwrap()), [value]);
        }
    }

    #[test]
    fn what_would_be_replaced_is_refused_with_its_line() {
        for (text, line) in
            [("A=1\nB=pa$word", Some(2)), ("A=\"$B\"", Some(1)), ("A='$B'", None), ("A=\\$B", None)]
        {
            assert_eq!(replaced(text), line, "{text}");
        }
        assert_eq!(replaced("# it's $5\nA=1 # $x\nB='$'\n"), None);
    }

    #[test]
    fn a_wrong_line_is_not_repeated() {
        let failure = read(b"A=1\nhunter2 hunter2\n").unwrap_err();
        let text = format!("{failure} {:?}", failure.causes());
        assert!(text.contains("entry 2") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_id_becomes_a_variable() {
        let name = |id: &str| variable(&id.parse().unwrap());
        assert_eq!(name("stripe-api-key").as_deref(), Some("STRIPE_API_KEY"));
        assert_eq!(name("2fa"), None);
    }
}
