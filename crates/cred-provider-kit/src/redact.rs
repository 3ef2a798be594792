//! Removes secrets that a server repeats, in any encoding.

use std::borrow::Cow;
use std::ops::Range;

use cred_core::Zeroizing;

const REDACTED: &str = "[redacted]";
/// Maximum length of a searched text, in bytes: a search takes some hundred times as much memory.
const LONGEST: usize = 64 * 1_024;

/// One character of a text, and the range that encodes it.
#[derive(Clone)]
struct Letter {
    value: char,
    range: Range<usize>,
}

/// Returns the text with each of these secrets replaced by `[redacted]`.
///
/// A secret is found unchanged; with other white space, line breaks or invisible characters in it;
/// percent-encoded; and with JSON escapes. Case is significant. The rest of the text is unchanged.
/// A text of more than 64 KiB, longer than any backend's error message, is redacted as a whole.
///
/// ```
/// use cred_provider_kit::redact;
///
/// assert_eq!(redact("no s.1234\n abcd here", &["s.1234abcd"]), "no [redacted] here");
/// assert_eq!(redact("?token=a%2Fb", &["a/b"]), "?token=[redacted]");
/// ```
#[must_use]
pub fn redact<'a>(text: &'a str, secrets: &[&str]) -> Cow<'a, str> {
    let secrets: Vec<_> =
        secrets.iter().map(|secret| without_ignored(secret)).filter(|secret| !secret.is_empty()).collect();
    if secrets.is_empty() || text.is_empty() {
        return text.into();
    }
    if text.len() > LONGEST {
        return REDACTED.into();
    }
    let mut found: Vec<Range<usize>> = decodings(text)
        .iter()
        .flat_map(|letters| secrets.iter().flat_map(|secret| occurrences(letters, secret)))
        .collect();
    if found.is_empty() {
        return text.into();
    }
    found.sort_by_key(|range| range.start);
    let (mut clean, mut end) = (String::with_capacity(text.len()), 0);
    for range in found {
        if range.start >= end {
            clean.push_str(text.get(end..range.start).unwrap_or_default());
            clean.push_str(REDACTED);
        }
        end = end.max(range.end);
    }
    clean.push_str(text.get(end..).unwrap_or_default());
    clean.into()
}

/// Whether a character is invisible, or changes the direction of the following text.
pub(crate) fn is_invisible(letter: char) -> bool {
    let formats = ['\u{ad}', '\u{61c}', '\u{180e}', '\u{feff}'];
    letter.is_control()
        || formats.contains(&letter)
        || ('\u{200b}'..='\u{200f}').contains(&letter)
        || ('\u{2028}'..='\u{202e}').contains(&letter)
        || ('\u{2060}'..='\u{206f}').contains(&letter)
}

fn is_ignored(letter: char) -> bool {
    letter.is_whitespace() || is_invisible(letter)
}

fn without_ignored(secret: &str) -> Zeroizing<Vec<char>> {
    // This capacity always suffices: a buffer that grows would leave a copy behind.
    let mut letters = Zeroizing::new(Vec::with_capacity(secret.len()));
    letters.extend(secret.chars().filter(|letter| !is_ignored(*letter)));
    letters
}

/// Decodes the text in each possible way, and drops the ignored characters.
fn decodings(text: &str) -> [Vec<Letter>; 5] {
    let plain: Vec<_> = text
        .char_indices()
        .map(|(at, value)| Letter { value, range: at..at.saturating_add(value.len_utf8()) })
        .collect();
    let (json, percent) = (unescaped(&plain), decoded(&plain));
    let (json_then_percent, percent_then_json) = (decoded(&json), unescaped(&percent));
    [plain, json, percent, json_then_percent, percent_then_json].map(|mut letters| {
        letters.retain(|letter| !is_ignored(letter.value));
        letters
    })
}

fn occurrences(letters: &[Letter], secret: &[char]) -> Vec<Range<usize>> {
    // In form data, a plus stands for a space.
    let keeps_plus = secret.contains(&'+');
    let letters: Vec<_> = letters.iter().filter(|letter| keeps_plus || letter.value != '+').collect();
    let windows = letters.windows(secret.len());
    let hits = windows.filter(|window| window.iter().map(|letter| letter.value).eq(secret.iter().copied()));
    hits.filter_map(|window| Some(window.first()?.range.start..window.last()?.range.end)).collect()
}

/// Replaces the escapes of JSON.
fn unescaped(letters: &[Letter]) -> Vec<Letter> {
    let mut plain = Vec::with_capacity(letters.len());
    let mut rest = letters;
    while let [first, others @ ..] = rest {
        let second = others.first().map(|letter| letter.value).filter(|_| first.value == '\\');
        let (value, length) = match second {
            Some('n' | 't' | 'r' | 'b' | 'f') => ('\n', 2),
            Some(same @ ('"' | '\\' | '/')) => (same, 2),
            Some('u') => match number(others.get(1..5)).and_then(char::from_u32) {
                Some(value) => (value, 6),
                None => (first.value, 1),
            },
            _ => (first.value, 1),
        };
        rest = push(&mut plain, rest, value, length);
    }
    plain
}

/// Replaces the escapes of a URL, only those of ASCII: tokens consist of ASCII.
fn decoded(letters: &[Letter]) -> Vec<Letter> {
    let mut plain = Vec::with_capacity(letters.len());
    let mut rest = letters;
    while let [first, others @ ..] = rest {
        let escape = others.get(..2).filter(|_| first.value == '%');
        let value = number(escape).and_then(char::from_u32).filter(char::is_ascii);
        rest = match value {
            Some(value) => push(&mut plain, rest, value, 3),
            None => push(&mut plain, rest, first.value, 1),
        };
    }
    plain
}

/// Adds the character that the first `length` letters encode, and returns the remaining letters.
fn push<'a>(plain: &mut Vec<Letter>, letters: &'a [Letter], value: char, length: usize) -> &'a [Letter] {
    let (taken, rest) = letters.split_at_checked(length).unwrap_or((letters, &[]));
    if let (Some(first), Some(last)) = (taken.first(), taken.last()) {
        plain.push(Letter { value, range: first.range.start..last.range.end });
    }
    rest
}

fn number(digits: Option<&[Letter]>) -> Option<u32> {
    digits?.iter().try_fold(0_u32, |sum, digit| Some(sum * 16 + digit.value.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_encoding() {
        const SECRET: &str = "hvs.CAES/Iq+\"x y\\z==";
        for encoding in [
            "hvs.CAES/Iq+\"x y\\z==",
            "hvs.CAES/Iq+\"x\r\n  y\\z==",
            "hvs.CA\u{200b}ES/\u{202e}Iq+\"xy\\z==",
            r#"hvs.CAES\/Iq+\"x\ny\\z=="#,
            r"hvs.CAES\u002fIq\u002B\u0022x y\u005cz==",
            "hvs.CAES%2FIq%2B%22x%20y%5Cz%3D%3D",
            "hvs.CAES%2fIq%2b%22x%0Ay%5cz%3d%3d",
            r"hvs.CAES\u00252FIq%2B%22x%20y%5Cz%3D%3D",
        ] {
            let text = format!("Token {encoding} is not Known");
            assert_eq!(redact(&text, &[SECRET]), "Token [redacted] is not Known", "{encoding}");
        }
        assert_eq!(redact("pass=a+b", &["a b"]), "pass=[redacted]", "as in form data");
        assert_eq!(redact("aXbXa", &["a", "b"]), "[redacted]X[redacted]X[redacted]");
        assert_eq!(redact("abab", &["aba", "bab"]), "[redacted]", "they overlap");
    }

    #[test]
    fn a_text_that_is_too_long_to_be_searched_is_not_repeated() {
        let text = "x".repeat(LONGEST + 1);
        assert_eq!(redact(&text, &["hunter2"]), REDACTED);
        assert_eq!(redact(&text, &[]), text);
        assert_eq!(redact(&text[1..], &["hunter2"]), text[1..]);
    }

    #[test]
    fn a_text_without_the_secret_is_unchanged() {
        for (text, secret) in [
            ("Hunter2 \n is%20here \\u0041", "hunter2"),
            ("abc", ""),
            ("abc", " \n"),
            ("", "abc"),
            ("é%", "%e9x"),
            ("\\u12", "a"),
            ("%", "abc"),
        ] {
            assert!(matches!(redact(text, &[secret]), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
